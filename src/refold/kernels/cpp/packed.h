// Arguments of the operations on packed rows, other than the LSTM.
//
// The steps of all sequences are rows, one after another; sequence i is rows offsets[i] to
// offsets[i + 1].  Arrays are float32; ld_* is the stride between the rows of an array.
#pragma once

#include <cstdint>

namespace refold {

// y = start + x w.  Each result is one sum in the order of the columns of x, so that the bits of a
// row do not depend on the other rows.
struct RowProduct {
  int64_t rows, depth, width;
  const float* x;  // (rows, depth)
  int64_t ld_x;
  const float* w;  // (depth, width)
  int64_t ld_w;
  const float* start;  // (rows, width), or null for zeros
  int64_t ld_start;    // 0 if all rows start from the same values
  float* y;            // (rows, width)
  int64_t ld_y;
};

// Maps the steps of each sequence to one row: y[i] = start[i] + the sum of x[t] w[t] over the first
// max_steps steps t of sequence i.
struct LinearEncode {
  int64_t sequences, channels, width, max_steps;
  const int64_t* offsets;
  const float* x;      // (rows, channels), dense
  const float* w;      // (max_steps * channels, width), dense
  const float* start;  // (sequences, width), or null for zeros
  int64_t ld_start;    // 0 if all sequences start from the same values
  float* y;            // (sequences, width)
};

// Maps one row of each sequence to its steps: y[row of step t of i] = start[t] + x[i] w[t].  From
// step max_steps on, it is start[t] alone.
struct LinearDecode {
  int64_t sequences, depth, width, max_steps;
  const int64_t* offsets;
  const float* x;      // (sequences, depth), dense
  const float* w;      // (depth, max_steps * width), dense
  const float* start;  // (steps of the longest sequence, width), dense
  float* y;            // (rows, width), dense
};

// Sums or maxima over the rows of each sequence, in their order; 0 for an empty sequence.
struct Segments {
  int64_t sequences, width;
  const int64_t* offsets;
  const float* x;  // (rows, width)
  int64_t ld_x;
  float* y;  // (sequences, width)
};

// Convolutions of each channel with its own taps at every stride-th step of a sequence, pooled over
// time.  The middle tap is for the step itself; what lies outside of the sequence counts as zero.
struct Convolutions {
  int64_t sequences, kernels;
  const int64_t* offsets;
  const float* x;  // (rows, kernels)
  int64_t ld_x;
  const float* taps;  // (num_taps, kernels)
  const float* bias;  // (kernels)
  int64_t num_taps, dilation, stride;
  float steepness;
  float* positive;  // (sequences, kernels): mean of sigmoid(steepness * convolution)
  float* highest;   // (sequences, kernels): maximum.  Both are 0 for an empty sequence.
};

// Convolutions as above, but at every step.  Those above a margin are pooled.
struct Runs {
  int64_t sequences, kernels;
  const int64_t* offsets;
  const float* x;  // (rows, kernels)
  int64_t ld_x;
  const float* taps;  // (num_taps, kernels)
  const float* bias;  // (kernels)
  int64_t num_taps, dilation;
  float margin;
  // (sequences, kernels), relative to the length; 0 for an empty sequence
  float* share;  // number of steps above the margin, and half of those from -margin to margin
  float* mean_position;  // mean index of the steps above the margin; 0 if there is none
  float* longest;        // length of their longest run
};

}  // namespace refold
