// The backward pass through time: gradients of the gates' pre-activations.
#pragma once

#include <vector>

#include "cell.h"
#include "gemm.h"
#include "gradients.h"
#include "pack.h"
#include "plan.h"

namespace refold {
namespace REFOLD_VARIANT {

// Runs one group of sequences from the last step to the first, and writes the gradients of the
// pre-activations to `gates`, unless it is null.
class BackwardPass {
 public:
  BackwardPass(const Backward& call, const Plan& plan, const BackwardOrder& order,
               const float* packed, const InputGradient& by_input)
      : call_(call), plan_(plan), order_(order), packed_(packed), by_input_(by_input) {}

  template <Activation A, Activation R>
  void run(int64_t first, int64_t last) const {
    const Layout& layout = order_.layout();
    const Transposed& weights = order_.recurrent();
    const int64_t units = call_.shape.units, ranks = last - first, ld = layout.units;
    const int64_t ld_gates = layout.gate_row, ld_dh = std::max(weights.width(), ld);
    Buffer dh(ranks * ld_dh), dc(ranks * ld), before(ranks * ld), zero(ld_dh);
    Buffer gate_gradients(ranks * ld_gates);
    Buffer totals(call_.d_sequence_sums ? ranks * 4 * ld : 0);
    if (call_.d_sequence_sums) std::fill(totals + 0, totals + ranks * 4 * ld, 0.0f);
    std::fill(dh + 0, dh + ranks * ld_dh, 0.0f);
    std::fill(dc + 0, dc + ranks * ld, 0.0f);
    std::fill(before + 0, before + ranks * ld, 0.0f);
    std::fill(zero + 0, zero + ld_dh, 0.0f);
    for (int64_t r = 0; r < ranks; ++r) {
      const int64_t b = plan_.sequence(first + r);
      if (call_.d_h) copy(dh + r * ld_dh, call_.d_h + b * units, units);
      if (call_.d_c) copy(dc + r * ld, call_.d_c + b * units, units);
      copy(before + r * ld, call_.c0 + b * units, units);
      if (call_.mask && call_.d_x) clear_d_x(first + r);
    }
    for (int64_t step = plan_.longest() - 1; step >= 0; --step) {
      const int64_t running = std::min(plan_.running(step), last) - first;
      if (running <= 0) continue;
      const int64_t row = plan_.row(step, first);
      const float* c = call_.cells + row * ld;
      const float* c_before = step ? call_.cells + plan_.row(step - 1, first) * ld : before;
      for (int64_t r = 0; r < running; r += kRows) {
        const int64_t rows = std::min(kRows, running - r);
        const float* gates = call_.activated + (row + r) * ld_gates;
        float* d_sums = gate_gradients + r * ld_gates;
        for (int64_t i = r; i < r + rows; ++i) add_d_outputs(step, first + i, dh + i * ld_dh);
        for (const Block& block : order_.blocks()) {
          const int64_t unit = block.first;
          for_width(block.width, [&](auto width) {
            cell_backward<A, R, decltype(width)::value>(
                rows, gates + 4 * unit, d_sums + 4 * unit, ld_gates, c_before + r * ld + unit,
                c + r * ld + unit, dc + r * ld + unit, ld, dh + r * ld_dh + unit, ld_dh);
          });
          clear_padding_units(block, rows, d_sums + 4 * unit, ld_gates);
        }
        for (int64_t i = 0; call_.d_sequence_sums && i < rows; ++i)
          add(totals + (r + i) * 4 * ld, d_sums + i * ld_gates, 4 * ld);
        for (int64_t i = 0; call_.gates && i < rows; ++i)
          copy(call_.gates + (row + r + i) * ld_gates, d_sums + i * ld_gates, 4 * ld);
      }
      if (by_input_.at_once()) by_input_.run_step(gate_gradients, ld_gates, step, first, running);
      const int64_t full_panels = running == 1 ? weights.whole_panels() : 0;
      multiply_row<kPanel>(
          {gate_gradients, ld_gates, packed_, kPanel * kWidth, weights.depth(), zero, 0, dh, ld_dh},
          kPanel * kWidth * weights.depth(), full_panels);
      for (int64_t panel = full_panels; panel < weights.panels(); ++panel) {
        float* to = dh + panel * kPanel * kWidth;
        const int vectors = weights.vectors(panel);
        const int64_t part = even_part(running, max_rows<kPanel>());
        for (int64_t r = 0; r < running; r += part) {
          const int64_t rows = std::min(part, running - r);
          prefetch_reads(step - 1, first + r, rows, panel, weights.panels());
          const Product product{gate_gradients + r * ld_gates,
                                ld_gates,
                                weights.panel(packed_, panel),
                                vectors * kWidth,
                                weights.depth(),
                                zero,
                                0,
                                to + r * ld_dh,
                                ld_dh};
          multiply_panel(vectors, product, rows);
        }
      }
    }
    for (int64_t r = 0; r < ranks; ++r) {
      const int64_t b = plan_.sequence(first + r);
      add_d_outputs(-1, first + r, dh + r * ld_dh);
      copy(call_.d_h0 + b * units, dh + r * ld_dh, units);
      copy(call_.d_c0 + b * units, dc + r * ld, units);
      for (const Block& block : order_.blocks())
        for (int gate = 0; call_.d_sequence_sums && gate < 4; ++gate)
          copy(call_.d_sequence_sums + (4 * b + gate) * units + block.first,
               totals + 4 * (r * ld + block.first) + gate * block.width, block.present);
    }
  }

 private:
  static constexpr int64_t kRows = kRowsPerRegister<4>;  // sequences computed together

  // Prefetches a part (of `parts` parts) of what a step reads, while a product is computed.
  void prefetch_reads(int64_t step, int64_t rank, int64_t rows, int64_t part, int64_t parts) const {
    if (step < 0) return;
    const int64_t ld = order_.layout().gate_row, from = ld * part / parts,
                  to = ld * (part + 1) / parts;
    for (int64_t r = rank; r < rank + rows; ++r) {
      const float* gates = call_.activated + plan_.row(step, r) * ld;
      for (int64_t column = from / 16 * 16; column < to; column += 16)
        __builtin_prefetch(gates + column, 0, 2);
      if (part == 0 && call_.d_outputs) {
        const float* d_outputs = call_.d_outputs + plan_.output_row(step, r) * call_.ld_outputs;
        for (int64_t unit = 0; unit < call_.shape.units; unit += 16)
          __builtin_prefetch(d_outputs + unit, 0, 2);
      }
    }
  }

  // Adds the gradients of the outputs that equal h after `step`.
  void add_d_outputs(int64_t step, int64_t rank, float* dh) const {
    if (!call_.d_outputs) return;
    const auto [begin, end] = plan_.output_rows(step, rank);
    for (int64_t row = begin; row < end; ++row)
      add(dh, call_.d_outputs + row * call_.ld_outputs, call_.shape.units);
  }

  static void add(float* to, const float* from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] += from[i];
  }

  // Clears padding units: an infinite input times their zero weights is NaN, and the products would
  // spread it.
  static void clear_padding_units(const Block& block, int64_t rows, float* d_sums, int64_t ld) {
    if (block.present == block.width) return;
    for (; rows > 0; --rows, d_sums += ld)
      for (int gate = 0; gate < 4; ++gate)
        std::fill(d_sums + gate * block.width + block.present, d_sums + (gate + 1) * block.width,
                  0.0f);
  }

  void clear_d_x(int64_t rank) const {
    const int64_t size = call_.shape.steps * call_.ld_x;
    float* to = call_.d_x + plan_.sequence(rank) * size;
    std::fill(to, to + size, 0.0f);
  }

  const Backward& call_;
  const Plan& plan_;
  const BackwardOrder& order_;
  const float* packed_;
  const InputGradient& by_input_;
};

}  // namespace REFOLD_VARIANT
}  // namespace refold
