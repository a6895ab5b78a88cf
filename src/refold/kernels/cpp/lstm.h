// Arguments and results of the LSTM over a whole batch, forward and backward.
//
// The results have the same bits for every number of threads, batch size and padding: rows are
// independent, the order within a sum does not depend on how many rows share a block, and no sum
// crosses threads.
// Shape letters: B batch, T time, F input features, H units.  Gates come in Keras's order: input,
// forget, cell, output.  Arrays are float32, row-major and dense; masks have one byte per entry.
//
// The steps of the input are rows in one of two orders.  Padded: (B, T) steps, and outputs in the
// order of computation.  Packed: the steps of all sequences one after another, sequence i from row
// offsets[i] to offsets[i + 1], and each output in the row of its step.
#pragma once

#include <cstdint>

#include "packed.h"
#include "threads.h"

// Marks the C symbols that Python and JAX call.
#if defined(_WIN32)
#define REFOLD_EXPORT extern "C" __declspec(dllexport)
#else
#define REFOLD_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace refold {

enum class Activation : int32_t { kTanh, kSigmoid, kRelu, kLinear };

struct Shape {
  int64_t batch, steps, features, units;
};

// Rounds up to an odd number of cache lines, because rows whose stride is a multiple of 4096 bytes
// would share few cache sets.
inline int64_t odd_lines(int64_t floats) { return 16 * (((floats + 15) / 16) | 1); }

// Layout of the residuals: gates and cells, which the backward call reads.  A *ranked* row is one
// real step of one sequence; rows are ordered by step, and within a step from the longest sequence
// to the shortest.
struct Layout {
  int64_t units;     // padded length of a ranked row of cells: blocks of 16, then one of 4, 8 or 16
  int64_t gate_row;  // padded length of a ranked row of gates
  int64_t forward_weights, backward_weights;  // floats of the packed weights of each pass
  explicit Layout(const Shape& shape);
};

struct Call {
  Shape shape;
  Activation activation, recurrent_activation;
  bool go_backwards;
  const int64_t* offsets = nullptr;  // (B + 1), or null where steps are padded
  int64_t ld_x;                      // stride of the rows of the input and of its gradient
  int64_t ld_outputs;                // stride of the rows of the outputs and of their gradients
  const float* x;                    // (B, T, F)
  const float* kernel;               // (F, 4H)
  const float* recurrent;            // (H, 4H)
  const float* h0;                   // (B, H)
  const float* c0;                   // (B, H)
  const uint8_t* mask = nullptr;     // (B, T), or null where every step is real
  // The weights as pack_forward or pack_backward returns them, aligned to a cache line; `kernel`,
  // `recurrent` and `bias` are then not read.  Null if the call packs them itself.
  const float* packed = nullptr;

  // Number of rows of the input and of the outputs.
  int64_t rows() const { return offsets ? offsets[shape.batch] : shape.batch * shape.steps; }
};

struct Forward : Call {
  const float* bias;  // (4H)
  // Products of inputs that are the same at all steps of a sequence (B, 4H), with the bias, and of
  // inputs that are the same in all sequences (steps, 4H), in the order of computation.  They take
  // the place of the bias.  Both are null without such inputs.
  const float* sequence_sums = nullptr;
  const float* step_sums = nullptr;
  float* outputs;  // (B, T, H) in the order of computation; null if not needed
  bool repeat;     // whether to repeat the output before a masked step at that step
  float* h;        // (B, H)
  float* c;        // (B, H)
  // ranked rows, further residuals for the backward call; both null if not needed
  float* gates;  // (B * T, gate_row)
  float* cells;  // (B * T, units)
};

// Whether the gradient of the input is computed at each step, as it is with few features.  For a
// single sequence it is faster to compute it for all steps together.
inline bool gradient_at_once(const Shape& shape) {
  return shape.features <= 128 && shape.batch > 1;
}

struct Backward : Call {
  const float* outputs;    // of the forward call
  const float* cells;      // of the forward call
  const float* activated;  // gates of the forward call
  // Gradients of the pre-activations; may alias `activated`.  Null if the gradients of the weights
  // are not needed, and the gradient of the input is not needed or is computed at each step.
  float* gates;
  const float* d_outputs;            // (B, T, H), or null
  const float* d_h;                  // (B, H), or null for zeros
  const float* d_c;                  // (B, H), or null for zeros
  float* d_x;                        // (B, T, F), or null if not needed
  float* d_sequence_sums = nullptr;  // (B, 4H), or null if not needed
  float* d_kernel;                   // (F, 4H); null if no gradient of a weight is needed
  float* d_recurrent;                // (H, 4H)
  float* d_bias;                     // (4H)
  float* d_h0;                       // (B, H)
  float* d_c0;                       // (B, H)
};

// The weights of an LSTM.  The backward pass reads only those of the features whose gradient it
// computes, and no bias.
struct Weights {
  int64_t features, units;
  const float* kernel;     // (F, 4H)
  const float* recurrent;  // (H, 4H)
  const float* bias;       // (4H)
};

// The functions that are compiled for one instruction set.
struct Variant {
  void (*forward)(const Forward&, const Pool&);
  void (*backward)(const Backward&, const Pool&);
  void (*pack_forward)(const Weights&, float*);
  void (*pack_backward)(const Weights&, float*);
  void (*product)(const RowProduct&, const Pool&);
  void (*linear_encode)(const LinearEncode&, const Pool&);
  void (*linear_decode)(const LinearDecode&, const Pool&);
  void (*segment_sum)(const Segments&);
  void (*segment_max)(const Segments&);
  void (*pooled_convolutions)(const Convolutions&, const Pool&);
  void (*pooled_runs)(const Runs&, const Pool&);
  void (*exp)(const float*, float*, int64_t);
  void (*sigmoid)(const float*, float*, int64_t);
  void (*tanh)(const float*, float*, int64_t);
};

// A variant and the name that REFOLD_KERNEL gives it.
struct NamedVariant {
  const char* name;
  const Variant* variant;
};

// Returns the variant called `name`, or the best one for a null or empty name.  Returns null if it
// was not built or this machine cannot run it.
const NamedVariant* find_variant(const char* name);

// The variant named by REFOLD_KERNEL, which is read once.
const NamedVariant* chosen_variant();

}  // namespace refold
