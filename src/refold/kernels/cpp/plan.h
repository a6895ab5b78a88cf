// The real steps of a batch, and the ranked row of each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "lstm.h"

namespace refold {

// The order of computation.  Sequences are *ranked* from the longest to the shortest, so that the
// sequences that have a step are the first ranks.  The ranked row of (step j, rank r) is
// offset[j] + r.  A masked step has no row, because it changes neither state nor output.  So
// padding, gaps and empty sequences cost nothing, wherever they lie.
class Plan {
 public:
  explicit Plan(const Call& call)
      : steps_(call.shape.steps), go_backwards_(call.go_backwards), holes_(call.mask != nullptr) {
    const int64_t batch = call.shape.batch;
    sequence_.resize(batch);
    std::iota(sequence_.begin(), sequence_.end(), 0);
    length_.assign(batch, steps_);
    if (call.mask) read(call.mask, batch);
    if (call.offsets) read(call.offsets, batch);
    longest_ = batch ? length_[0] : 0;
    offset_.assign(longest_ + 1, 0);
    for (int64_t j = 0, running = batch; j < longest_; ++j) {
      while (length_[running - 1] <= j) --running;
      offset_[j + 1] = offset_[j] + running;
    }
  }

  int64_t longest() const { return longest_; }        // real steps of the longest sequence
  int64_t rows() const { return offset_[longest_]; }  // all ranked rows
  int64_t length(int64_t rank) const { return length_[rank]; }
  int64_t sequence(int64_t rank) const { return sequence_[rank]; }
  int64_t row(int64_t step, int64_t rank) const { return offset_[step] + rank; }
  int64_t running(int64_t step) const {  // ranks that have this step
    return step < longest_ ? offset_[step + 1] - offset_[step] : 0;
  }
  // Index of the step in the order of computation, counting masked steps.
  int64_t position(int64_t step, int64_t rank) const {
    return holes_ ? position_[sequence_[rank] * steps_ + step] : step;
  }
  // Row of the input that the step reads.
  int64_t input_row(int64_t step, int64_t rank) const {
    if (packed()) return first_[rank] + (go_backwards_ ? -step : step);
    return sequence_[rank] * steps_ + time(position(step, rank));
  }
  // Row of the outputs that the step writes.
  int64_t output_row(int64_t step, int64_t rank) const {
    return packed() ? input_row(step, rank) : sequence_[rank] * steps_ + position(step, rank);
  }
  // Range of rows (first, end) of the outputs that equal h after the step: the row of the step, and
  // those of the masked steps up to the next real step.  Step -1 is the initial state.
  std::pair<int64_t, int64_t> output_rows(int64_t step, int64_t rank) const {
    if (packed()) {
      if (step < 0) return {0, 0};
      const int64_t row = input_row(step, rank);
      return {row, row + 1};
    }
    const int64_t row = sequence_[rank] * steps_;
    return {row + (step < 0 ? 0 : position(step, rank)),
            row + (step + 1 < length_[rank] ? position(step + 1, rank) : steps_)};
  }

  // Calls work(row, step, rank) for `count` ranked rows from `first` on.
  template <typename Work>
  void for_rows(int64_t first, int64_t count, const Work& work) const {
    if (count <= 0) return;
    int64_t step = std::upper_bound(offset_.begin(), offset_.end(), first) - offset_.begin() - 1;
    for (int64_t row = first; row < first + count; ++row) {
      while (offset_[step + 1] <= row) ++step;
      work(row, step, row - offset_[step]);
    }
  }

  // Cuts the ranks into at most `count` groups of about equal work: bounds[i] to bounds[i + 1].
  std::vector<int64_t> cut(int64_t count) const {
    const int64_t batch = static_cast<int64_t>(length_.size());
    std::vector<int64_t> bounds{0};
    int64_t remaining = rows(), group_rows = 0;  // rows of later groups, and of the current one
    for (int64_t rank = 0; rank < batch; ++rank) {
      const int64_t groups = count - static_cast<int64_t>(bounds.size()) + 1;
      // a sequence that is more than half beyond an equal share begins the next group
      if (groups > 1 && group_rows > 0 && group_rows + length_[rank] / 2 >= remaining / groups) {
        bounds.push_back(rank);
        remaining -= group_rows;
        group_rows = 0;
      }
      group_rows += length_[rank];
    }
    bounds.push_back(batch);
    return bounds;
  }

 private:
  bool packed() const { return !first_.empty(); }
  // Index in x and in the mask of a position in the order of computation.
  int64_t time(int64_t position) const { return go_backwards_ ? steps_ - 1 - position : position; }

  void read(const uint8_t* mask, int64_t batch) {
    position_.resize(batch * steps_);
    std::vector<int64_t> lengths(batch, 0);
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t s = 0; s < steps_; ++s)
        if (mask[b * steps_ + time(s)])
          position_[b * steps_ + lengths[b]++] = static_cast<int32_t>(s);
    rank_by(lengths);
  }

  void read(const int64_t* offsets, int64_t batch) {
    std::vector<int64_t> lengths(batch);
    for (int64_t b = 0; b < batch; ++b) lengths[b] = offsets[b + 1] - offsets[b];
    rank_by(lengths);
    for (const int64_t b : sequence_)
      first_.push_back(go_backwards_ ? offsets[b + 1] - 1 : offsets[b]);
  }

  void rank_by(const std::vector<int64_t>& lengths) {
    std::stable_sort(sequence_.begin(), sequence_.end(),
                     [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
    for (size_t rank = 0; rank < lengths.size(); ++rank) length_[rank] = lengths[sequence_[rank]];
  }

  int64_t steps_;
  bool go_backwards_, holes_;
  int64_t longest_ = 0;
  std::vector<int64_t> sequence_;  // by rank
  std::vector<int64_t> length_;    // by rank
  std::vector<int64_t> first_;     // row of the first step, by rank; empty where steps are padded
  std::vector<int64_t> offset_;    // first ranked row, by step
  std::vector<int32_t> position_;  // by sequence and step; unused without a mask
};

}  // namespace refold
