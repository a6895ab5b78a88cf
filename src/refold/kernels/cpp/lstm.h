// The LSTM over a whole batch, forward and backward: what a call takes and gives.
//
// Shape letters: B batch, T time, F input features, H units.  Gates come in Keras's order: input,
// forget, cell, output.  All arrays are float32, row-major and dense; masks are one byte an entry.
#pragma once

#include <cstdint>

#include "threads.h"

namespace refold {

enum class Activation : int32_t { kTanh, kSigmoid, kRelu, kLinear };

struct Shape {
  int64_t batch, steps, features, units;
};

// At least so many floats, an odd number of cache lines: rows of a multiple of 4096 bytes would share
// few places in a cache.
inline int64_t odd_lines(int64_t floats) { return 16 * (((floats + 15) / 16) | 1); }

// How the residuals are laid out.  A *packed* row is one real step of one sequence; rows are
// ordered by step, and within a step from the longest sequence to the shortest.
struct Layout {
  int64_t units;     // of a packed row of cells; with padding: blocks of 16, then one of 4, 8 or 16
  int64_t gate_row;  // length of a packed row of gates, with padding
  explicit Layout(const Shape& shape);
};

struct Call {
  Shape shape;
  Activation activation, recurrent_activation;
  bool go_backwards;
  const float* x;          // (B, T, F)
  const float* kernel;     // (F, 4H)
  const float* recurrent;  // (H, 4H)
  const float* h0;         // (B, H)
  const float* c0;         // (B, H)
  const uint8_t* mask;     // (B, T), or null where every step is real
};

struct Forward : Call {
  const float* bias;  // (4H)
  float* outputs;     // (B, T, H) in the order of computation; null if nobody reads them
  bool repeat;        // whether outputs are wanted at masked steps too
  float* h;           // (B, H)
  float* c;           // (B, H)
  // residuals for the backward call, beside the outputs, or both null; packed rows
  float* gates;  // (B * T, gate_row)
  float* cells;  // (B * T, units)
};

struct Backward : Call {
  const float* outputs;     // of the forward call, and so are these
  const float* cells;
  const float* activated;   // gates
  float* gates;             // gradients by the gates' sums; may be the same memory
  const float* d_outputs;   // (B, T, H), or null
  const float* d_h;         // (B, H)
  const float* d_c;         // (B, H)
  float* d_x;               // (B, T, F), or null if nobody reads it
  float* d_kernel;          // (F, 4H)
  float* d_recurrent;       // (H, 4H)
  float* d_bias;            // (4H)
  float* d_h0;              // (B, H)
  float* d_c0;              // (B, H)
};

// One set of the functions below for every variant of the instruction set.
struct Variant {
  void (*forward)(const Forward&, const Pool&);
  void (*backward)(const Backward&, const Pool&);
  void (*exp)(const float*, float*, int64_t);
  void (*sigmoid)(const float*, float*, int64_t);
  void (*tanh)(const float*, float*, int64_t);
};

struct Named {
  const char* name;
  const Variant* variant;
};

// The variant called `name` if it was built and this machine can run it, the best one for a null
// or empty name; null if there is none.
const Named* find_variant(const char* name);

}  // namespace refold
