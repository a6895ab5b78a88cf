// Compares the LSTM with plain loops in double precision, without JAX, under the sanitizers.
//
// Every array is its own allocation of exactly its size, so that the sanitizers find accesses past
// its end.  Prints one line per check and returns 1 if any failed.
#include <cmath>
#include <cstdio>
#include <deque>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "buffer.h"
#include "lstm.h"

// GCC before 13.3 misaligns wide vectors on the stack that this check sets up.
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=0"; }

// The C functions of interface.cpp.
extern "C" {
const char* refold_variant();
int refold_pack_lstm(int64_t, int64_t, const float*, const float*, const float*, float*);
int refold_pack_lstm_gradient(int64_t, int64_t, const float*, const float*, float*);
int refold_lstm_forward(int64_t, int64_t, int64_t, const int64_t*, const float*, int64_t,
                        const float*, const float*, const float*, const float*, const float*, int,
                        float*, int64_t, float*, float*, float*, float*, int64_t);
int refold_lstm_backward(int64_t, int64_t, int64_t, const int64_t*, const float*, const float*, int,
                         const float*, const float*, const float*, int64_t, const float*,
                         const float*, float*, int64_t, float*, float*, float*, int64_t);
int refold_product(int64_t, int64_t, int64_t, const float*, int64_t, const float*, int64_t,
                   const float*, int64_t, float*, int64_t, int64_t);
int refold_linear_encode(int64_t, int64_t, int64_t, int64_t, const int64_t*, const float*,
                         const float*, const float*, int64_t, float*, int64_t);
}

namespace {

using refold::Activation;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

int failures = 0;

void check(bool holds, const std::string& what) {
  std::printf("%s %s\n", holds ? "ok    " : "FAILED", what.c_str());
  if (!holds) ++failures;
}

// A thread pool; a `lazy` one starts its tasks only when it is closed.
class Threads {
 public:
  explicit Threads(int count, bool lazy = false) : lazy_(lazy) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~Threads() { close(); }
  void close() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  refold::Pool pool(int64_t threads) {
    return {threads, [this](std::function<void()> task) {
              std::lock_guard<std::mutex> lock(mutex_);
              tasks_.push_back(std::move(task));
              changed_.notify_one();
            }};
  }

 private:
  void serve() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || (!lazy_ && !tasks_.empty()); });
      if (tasks_.empty()) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }
  bool lazy_, closed_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
};

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kRelu:
      return x > 0 ? x : 0;
    default:
      return x;
  }
}

double slope(Activation activation, double y) {
  switch (activation) {
    case Activation::kTanh:
      return 1 - y * y;
    case Activation::kSigmoid:
      return y * (1 - y);
    case Activation::kRelu:
      return y > 0 ? 1 : 0;
    default:
      return 1;
  }
}

// A random problem and its arrays.
struct Problem {
  refold::Shape shape;
  Activation activation, recurrent_activation;
  bool go_backwards, sequences;
  Floats x, kernel, recurrent, bias, h0, c0, d_outputs, d_h, d_c;
  std::vector<uint8_t> mask;  // empty where every step is real

  Problem(refold::Shape s, unsigned seed) : shape(s) {
    std::mt19937 random(seed);
    const auto [B, T, F, H] = s;
    activation = static_cast<Activation>(random() % 4);
    recurrent_activation = static_cast<Activation>(random() % 4);
    go_backwards = random() % 2;
    sequences = random() % 3;
    const auto draw = [&](int64_t count, double scale) {
      std::normal_distribution<double> normal(0, scale);
      Floats values(count);
      for (float& value : values) value = static_cast<float>(normal(random));
      return values;
    };
    x = draw(B * T * F, 0.5);
    kernel = draw(F * 4 * H, 0.3 / std::sqrt(F));
    recurrent = draw(H * 4 * H, 0.3 / std::sqrt(H));
    bias = draw(4 * H, 0.1);
    h0 = draw(B * H, 0.3);
    c0 = draw(B * H, 0.3);
    if (sequences) d_outputs = draw(B * T * H, 1);
    d_h = draw(B * H, 1);
    d_c = draw(B * H, 1);
    const int masking = random() % 4;
    if (!masking) return;
    mask.resize(B * T);
    for (int64_t b = 0; b < B; ++b) {
      const int64_t length = random() % (T + 1);
      for (int64_t t = 0; t < T; ++t)
        mask[b * T + t] = masking == 1 ? t < length : masking == 2 ? random() % 2 : 0;
    }
  }

  void fill(refold::Call& call) const {
    call.shape = shape;
    call.activation = activation;
    call.recurrent_activation = recurrent_activation;
    call.go_backwards = go_backwards;
    call.ld_x = shape.features;
    call.ld_outputs = shape.units;
    call.x = x.data();
    call.kernel = kernel.data();
    call.recurrent = recurrent.data();
    call.h0 = h0.data();
    call.c0 = c0.data();
    call.mask = mask.empty() ? nullptr : mask.data();
  }
};

struct Results {
  Floats outputs, h, c, d_x, d_kernel, d_recurrent, d_bias, d_h0, d_c0;
  std::vector<Floats*> all() {
    return {&outputs, &h, &c, &d_x, &d_kernel, &d_recurrent, &d_bias, &d_h0, &d_c0};
  }
};

Results run(const Problem& problem, const refold::Variant& variant, const refold::Pool& pool,
            bool residuals = true, bool by_input = true) {
  const auto [B, T, F, H] = problem.shape;
  const refold::Layout layout(problem.shape);
  Results out;
  out.outputs.resize(problem.sequences || residuals ? B * T * H : 0);
  out.h.resize(B * H);
  out.c.resize(B * H);
  Floats gates(B * T * layout.gate_row), cells(B * T * layout.units);
  refold::Forward forward;
  problem.fill(forward);
  forward.bias = problem.bias.data();
  forward.outputs = out.outputs.empty() ? nullptr : out.outputs.data();
  forward.repeat = problem.sequences;
  forward.h = out.h.data();
  forward.c = out.c.data();
  forward.gates = residuals ? gates.data() : nullptr;
  forward.cells = residuals ? cells.data() : nullptr;
  variant.forward(forward, pool);
  if (!residuals) return out;
  out.d_x.resize(by_input ? problem.x.size() : 0);
  out.d_kernel.resize(problem.kernel.size());
  out.d_recurrent.resize(problem.recurrent.size());
  out.d_bias.resize(problem.bias.size());
  out.d_h0.resize(problem.h0.size());
  out.d_c0.resize(problem.c0.size());
  refold::Backward backward;
  problem.fill(backward);
  backward.outputs = out.outputs.data();
  backward.cells = cells.data();
  backward.activated = gates.data();
  backward.gates = gates.data();
  backward.d_outputs = problem.sequences ? problem.d_outputs.data() : nullptr;
  backward.d_h = problem.d_h.data();
  backward.d_c = problem.d_c.data();
  backward.d_x = by_input ? out.d_x.data() : nullptr;
  backward.d_kernel = out.d_kernel.data();
  backward.d_recurrent = out.d_recurrent.data();
  backward.d_bias = out.d_bias.data();
  backward.d_h0 = out.d_h0.data();
  backward.d_c0 = out.d_c0.data();
  variant.backward(backward, pool);
  if (!problem.sequences) out.outputs.clear();
  return out;
}

// The results by the formulas, one sequence and one step after the other.
struct Reference {
  Doubles outputs, h, c, d_x, d_kernel, d_recurrent, d_bias, d_h0, d_c0;
  std::vector<Doubles*> all() {
    return {&outputs, &h, &c, &d_x, &d_kernel, &d_recurrent, &d_bias, &d_h0, &d_c0};
  }
};

Reference reference(const Problem& p) {
  const auto [B, T, F, H] = p.shape;
  const int64_t G = 4 * H;
  Reference out;
  out.outputs.assign(p.sequences ? B * T * H : 0, 0);
  out.h.assign(B * H, 0);
  out.c.assign(B * H, 0);
  out.d_x.assign(p.x.size(), 0);
  out.d_kernel.assign(p.kernel.size(), 0);
  out.d_recurrent.assign(p.recurrent.size(), 0);
  out.d_bias.assign(p.bias.size(), 0);
  out.d_h0.assign(B * H, 0);
  out.d_c0.assign(B * H, 0);
  for (int64_t b = 0; b < B; ++b) {
    std::vector<Doubles> hs, cs, gates;
    hs.emplace_back(p.h0.begin() + b * H, p.h0.begin() + (b + 1) * H);
    cs.emplace_back(p.c0.begin() + b * H, p.c0.begin() + (b + 1) * H);
    const auto time = [&](int64_t s) { return p.go_backwards ? T - 1 - s : s; };
    const auto real = [&](int64_t s) { return p.mask.empty() || p.mask[b * T + time(s)]; };
    for (int64_t s = 0; s < T; ++s) {
      Doubles h = hs.back(), c = cs.back(), gate(G);
      if (real(s)) {
        const float* x = p.x.data() + (b * T + time(s)) * F;
        for (int64_t g = 0; g < G; ++g) {
          double sum = p.bias[g];
          for (int64_t f = 0; f < F; ++f) sum += static_cast<double>(x[f]) * p.kernel[f * G + g];
          for (int64_t u = 0; u < H; ++u) sum += hs.back()[u] * p.recurrent[u * G + g];
          gate[g] = activate(g / H == 2 ? p.activation : p.recurrent_activation, sum);
        }
        for (int64_t u = 0; u < H; ++u) {
          c[u] = gate[H + u] * c[u] + gate[u] * gate[2 * H + u];
          h[u] = gate[3 * H + u] * activate(p.activation, c[u]);
        }
      }
      if (p.sequences) std::copy(h.begin(), h.end(), out.outputs.begin() + (b * T + s) * H);
      hs.push_back(h);
      cs.push_back(c);
      gates.push_back(gate);
    }
    std::copy(hs.back().begin(), hs.back().end(), out.h.begin() + b * H);
    std::copy(cs.back().begin(), cs.back().end(), out.c.begin() + b * H);
    Doubles dh(p.d_h.begin() + b * H, p.d_h.begin() + (b + 1) * H);
    Doubles dc(p.d_c.begin() + b * H, p.d_c.begin() + (b + 1) * H);
    for (int64_t s = T - 1; s >= 0; --s) {
      if (p.sequences)
        for (int64_t u = 0; u < H; ++u) dh[u] += p.d_outputs[(b * T + s) * H + u];
      if (!real(s)) continue;
      const Doubles& gate = gates[s];
      Doubles d_sum(G), dh_before(H, 0);
      for (int64_t u = 0; u < H; ++u) {
        const double squashed = activate(p.activation, cs[s + 1][u]);
        const double d = dc[u] + dh[u] * gate[3 * H + u] * slope(p.activation, squashed);
        d_sum[u] = d * gate[2 * H + u] * slope(p.recurrent_activation, gate[u]);
        d_sum[H + u] = d * cs[s][u] * slope(p.recurrent_activation, gate[H + u]);
        d_sum[2 * H + u] = d * gate[u] * slope(p.activation, gate[2 * H + u]);
        d_sum[3 * H + u] = dh[u] * squashed * slope(p.recurrent_activation, gate[3 * H + u]);
        dc[u] = d * gate[H + u];
      }
      const int64_t at = (b * T + time(s)) * F;
      for (int64_t g = 0; g < G; ++g) {
        for (int64_t f = 0; f < F; ++f) {
          out.d_x[at + f] += d_sum[g] * p.kernel[f * G + g];
          out.d_kernel[f * G + g] += d_sum[g] * p.x[at + f];
        }
        for (int64_t u = 0; u < H; ++u) {
          dh_before[u] += d_sum[g] * p.recurrent[u * G + g];
          out.d_recurrent[u * G + g] += d_sum[g] * hs[s][u];
        }
        out.d_bias[g] += d_sum[g];
      }
      dh = dh_before;
    }
    std::copy(dh.begin(), dh.end(), out.d_h0.begin() + b * H);
    std::copy(dc.begin(), dc.end(), out.d_c0.begin() + b * H);
  }
  return out;
}

double worst(Results& results, Reference& expected) {
  double largest = 0;
  const auto ours = results.all();
  const auto theirs = expected.all();
  for (size_t i = 0; i < ours.size(); ++i) {
    double scale = 1e-3, difference = 0;
    for (size_t k = 0; k < ours[i]->size(); ++k) {
      const double value = (*ours[i])[k], right = (*theirs[i])[k];
      if (!std::isfinite(value)) return INFINITY;
      scale = std::max(scale, std::abs(right));
      difference = std::max(difference, std::abs(value - right));
    }
    largest = std::max(largest, difference / scale);
  }
  return largest;
}

bool same(Results a, Results b) {
  const auto left = a.all(), right = b.all();
  for (size_t i = 0; i < left.size(); ++i)
    if (*left[i] != *right[i]) return false;
  return true;
}

std::string text(const refold::Shape& shape) {
  return "B" + std::to_string(shape.batch) + " T" + std::to_string(shape.steps) + " F" +
         std::to_string(shape.features) + " H" + std::to_string(shape.units);
}

void check_numbers(const std::string& name, const refold::Variant& variant) {
  const refold::Shape shapes[] = {
      {1, 1, 1, 1},
      {2, 3, 4, 2},
      {3, 7, 1, 5},
      {5, 4, 3, 8},
      {13, 6, 5, 9},
      {7, 9, 2, 16},
      {33, 5, 6, 20},
      {17, 8, 12, 31},
      {4, 3, 128, 33},
      {6, 4, 129, 12},
      {3, 5, 300, 40},
      {2, 40, 2, 64},
      {1, 9, 12, 100},
      // rows of a single sequence, in several blocks
      {3, 6, 5, 76},
      // enough weights to be packed by several threads
      {5, 3, 8, 160},
      {0, 4, 2, 3},
      {3, 0, 2, 3},
  };
  unsigned seed = 0;
  for (const auto& shape : shapes)
    for (int draw = 0; draw < 6; ++draw) {
      const Problem problem(shape, ++seed);
      Reference expected = reference(problem);
      Results alone = run(problem, variant, {});
      const double error = worst(alone, expected);
      Threads threads(3);
      const bool equal = same(alone, run(problem, variant, threads.pool(3)));
      Results inference = run(problem, variant, threads.pool(2), false);
      Results first_layer = run(problem, variant, threads.pool(2), true, false);
      first_layer.d_x = alone.d_x;
      const bool less = same(alone, first_layer);
      const bool quick = inference.outputs == alone.outputs && inference.h == alone.h;
      check(error < 2e-5 && equal && quick && less,
            name + " " + text(shape) + " draw " + std::to_string(draw) + ": error " +
                std::to_string(error * 1e6) + "e-6" + (equal ? "" : ", threads differ") +
                (quick ? "" : ", inference differs") +
                (less ? "" : ", differs without the gradient by the input"));
    }
}

Floats draw(std::mt19937& random, int64_t count) {
  std::normal_distribution<double> normal(0, 0.5);
  Floats values(count);
  for (float& value : values) value = static_cast<float>(normal(random));
  return values;
}

// Random lengths of sequences, as offsets of packed rows.
struct Lengths {
  std::vector<int64_t> offsets{0};
  Lengths(int64_t sequences, int64_t longest, std::mt19937& random) {
    for (int64_t i = 0; i < sequences; ++i)
      offsets.push_back(offsets.back() + static_cast<int64_t>(random() % (longest + 1)));
  }
  int64_t rows() const { return offsets.back(); }
  int64_t length(int64_t i) const { return offsets[i + 1] - offsets[i]; }
};

// Checks that the LSTM on packed rows has the bits of the padded one, whose masked steps come last.
// The outputs are written into every `stride`-th part of longer rows.
void check_packed_lstm(const std::string& name, const refold::Variant& variant,
                       const refold::Shape& shape, unsigned seed, int64_t stride) {
  Problem problem(shape, seed);
  std::mt19937 random(seed);
  const auto [B, T, F, H] = shape;
  const Lengths lengths(B, T, random);
  problem.sequences = true;
  problem.d_outputs.assign(B * T * H, 0);
  problem.mask.assign(B * T, 0);
  const int64_t rows = lengths.rows(), ld = stride * H;
  Floats x(rows * F), d_outputs(rows ? rows * ld - (stride - 1) * H : 0);
  // Calls work(packed row, row of the padded input, row of the padded outputs).
  const auto for_rows = [&](const auto& work) {
    for (int64_t b = 0; b < B; ++b)
      for (int64_t t = 0; t < lengths.length(b); ++t)
        work(lengths.offsets[b] + t, b * T + t, b * T + (problem.go_backwards ? T - 1 - t : t));
  };
  for_rows([&](int64_t row, int64_t at, int64_t) {
    problem.mask[at] = 1;
    std::copy_n(problem.x.begin() + at * F, F, x.begin() + row * F);
  });
  for_rows([&](int64_t row, int64_t, int64_t at) {
    const Floats drawn = draw(random, H);
    std::copy(drawn.begin(), drawn.end(), problem.d_outputs.begin() + at * H);
    std::copy(drawn.begin(), drawn.end(), d_outputs.begin() + row * ld);
  });
  const Results padded = run(problem, variant, {});
  Threads threads(3);
  const refold::Layout layout(shape);
  const refold::Weights weights{F, H, problem.kernel.data(), problem.recurrent.data(),
                                problem.bias.data()};
  const refold::Buffer for_forward(layout.forward_weights), for_backward(layout.backward_weights);
  variant.pack_forward(weights, for_forward);
  variant.pack_backward(weights, for_backward);
  for (const bool many : {false, true}) {
    const refold::Pool pool = many ? threads.pool(3) : refold::Pool{};
    Floats outputs(d_outputs.size()), h(B * H), c(B * H), d_x(x.size()), d_h(B * H), d_c(B * H);
    Floats gates(rows * layout.gate_row), cells(rows * layout.units);
    Floats d_sums(refold::gradient_at_once(shape) ? 0 : gates.size());
    const auto fill = [&](refold::Call& call) {
      problem.fill(call);
      call.mask = nullptr;
      call.offsets = lengths.offsets.data();
      call.x = x.data();
      call.ld_outputs = ld;
    };
    refold::Forward forward;
    fill(forward);
    forward.bias = problem.bias.data();
    forward.outputs = outputs.data();
    forward.repeat = false;
    forward.h = h.data();
    forward.c = c.data();
    forward.gates = gates.data();
    forward.cells = cells.data();
    if (many) forward.packed = for_forward;
    variant.forward(forward, pool);
    refold::Backward backward;
    fill(backward);
    if (many) backward.packed = for_backward;
    backward.outputs = nullptr;
    backward.cells = cells.data();
    backward.activated = gates.data();
    backward.gates = d_sums.empty() ? nullptr : d_sums.data();
    backward.d_outputs = d_outputs.data();
    backward.d_h = problem.d_h.data();
    backward.d_c = problem.d_c.data();
    backward.d_x = d_x.data();
    backward.d_kernel = backward.d_recurrent = backward.d_bias = nullptr;
    backward.d_h0 = d_h.data();
    backward.d_c0 = d_c.data();
    variant.backward(backward, pool);
    bool equal = h == padded.h && c == padded.c && d_h == padded.d_h0 && d_c == padded.d_c0;
    for_rows([&](int64_t row, int64_t in, int64_t out) {
      equal = equal &&
              std::equal(outputs.begin() + row * ld, outputs.begin() + row * ld + H,
                         padded.outputs.begin() + out * H) &&
              std::equal(d_x.begin() + row * F, d_x.begin() + (row + 1) * F,
                         padded.d_x.begin() + in * F);
    });
    check(equal, name + " packed " + text(shape) + (many ? ", threads" : ""));
  }
}

// Checks sums by sequence and by step.  The reference has a feature for each sequence (1 at its
// steps), and a feature for each step (1 in all sequences).  Their weights are the sums.
void check_shared_inputs(const std::string& name, const refold::Variant& variant,
                         const refold::Shape& shape, unsigned seed) {
  const auto [B, T, F, H] = shape;
  const int64_t all = F + B + T;
  Problem problem({B, T, all, H}, seed);
  std::mt19937 random(seed);
  const Lengths lengths(B, T, random);
  problem.sequences = true;
  problem.x.assign(B * T * all, 0);
  problem.bias.assign(4 * H, 0);
  problem.d_outputs.assign(B * T * H, 0);
  problem.mask.assign(B * T, 0);
  const int64_t rows = lengths.rows();
  Floats x = draw(random, rows * F);
  const Floats d_outputs = draw(random, rows * H), no_bias(4 * H, NAN);
  const auto padded_row = [&](int64_t b, int64_t t) {
    return b * T + (problem.go_backwards ? T - 1 - t : t);
  };
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < lengths.length(b); ++t) {
      const int64_t row = lengths.offsets[b] + t;
      const int64_t step = problem.go_backwards ? lengths.length(b) - 1 - t : t;
      const auto to = problem.x.begin() + (b * T + t) * all;
      std::copy_n(x.begin() + row * F, F, to);
      to[F + b] = to[F + B + step] = 1;
      problem.mask[b * T + t] = 1;
      std::copy_n(d_outputs.begin() + row * H, H, problem.d_outputs.begin() + padded_row(b, t) * H);
    }
  const Reference expected = reference(problem);
  const refold::Layout layout(shape);
  const refold::Buffer for_forward(layout.forward_weights), for_backward(layout.backward_weights);
  const refold::Weights weights{F, H, problem.kernel.data(), problem.recurrent.data(),
                                no_bias.data()};
  variant.pack_forward(weights, for_forward);
  variant.pack_backward(weights, for_backward);
  const auto sums = problem.kernel.begin() + F * 4 * H;
  const Floats sequence_sums(sums, sums + B * 4 * H),
      step_sums(sums + B * 4 * H, problem.kernel.end());
  Threads threads(3);
  std::vector<Floats> first;
  for (const refold::Pool& pool : {refold::Pool{}, threads.pool(3)}) {
    Floats outputs(rows * H), h(B * H), c(B * H), d_sequence_sums(B * 4 * H), d_h(B * H),
        d_c(B * H);
    Floats gates(rows * layout.gate_row), cells(rows * layout.units);
    const auto fill = [&](refold::Call& call) {
      problem.fill(call);
      call.shape = shape;
      call.mask = nullptr;
      call.offsets = lengths.offsets.data();
      call.x = x.data();
      call.ld_x = F;
    };
    refold::Forward forward;
    fill(forward);
    forward.packed = for_forward;
    forward.bias = nullptr;
    forward.sequence_sums = sequence_sums.data();
    forward.step_sums = step_sums.data();
    forward.outputs = outputs.data();
    forward.repeat = false;
    forward.h = h.data();
    forward.c = c.data();
    forward.gates = gates.data();
    forward.cells = cells.data();
    variant.forward(forward, pool);
    refold::Backward backward;
    fill(backward);
    backward.packed = for_backward;
    backward.outputs = nullptr;
    backward.cells = cells.data();
    backward.activated = gates.data();
    backward.gates = nullptr;
    backward.d_outputs = d_outputs.data();
    backward.d_h = problem.d_h.data();
    backward.d_c = problem.d_c.data();
    backward.d_x = nullptr;
    backward.d_sequence_sums = d_sequence_sums.data();
    backward.d_kernel = backward.d_recurrent = backward.d_bias = nullptr;
    backward.d_h0 = d_h.data();
    backward.d_c0 = d_c.data();
    variant.backward(backward, pool);
    double error = 0;
    const auto compare = [&](const Floats& found, const double* right) {
      double scale = 1e-3, difference = 0;
      for (size_t i = 0; i < found.size(); ++i) {
        if (!std::isfinite(found[i])) error = INFINITY;
        scale = std::max(scale, std::abs(right[i]));
        difference = std::max(difference, std::abs(found[i] - right[i]));
      }
      error = std::max(error, difference / scale);
    };
    Doubles written;
    for (int64_t b = 0; b < B; ++b)
      for (int64_t t = 0; t < lengths.length(b); ++t) {
        const auto from = expected.outputs.begin() + padded_row(b, t) * H;
        written.insert(written.end(), from, from + H);
      }
    compare(outputs, written.data());
    compare(h, expected.h.data());
    compare(c, expected.c.data());
    compare(d_sequence_sums, expected.d_kernel.data() + F * 4 * H);
    compare(d_h, expected.d_h0.data());
    compare(d_c, expected.d_c0.data());
    const std::vector<Floats> found{outputs, h, c, d_sequence_sums, d_h, d_c};
    if (first.empty()) first = found;
    check(error < 2e-5 && found == first, name + " shared inputs " + text(shape) + ": error " +
                                              std::to_string(error * 1e6) + "e-6");
  }
}

// Checks the other operations on packed rows; each array is compared with plain loops.
void check_packed_operations(const std::string& name, const refold::Variant& variant, int64_t B,
                             int64_t T, int64_t F, int64_t W, unsigned seed) {
  std::mt19937 random(seed);
  const Lengths lengths(B, T, random);
  const int64_t rows = lengths.rows(), max_steps = 1 + T / 2;
  const Floats x = draw(random, rows * F), w = draw(random, F * W), start = draw(random, W);
  const Floats step_w = draw(random, max_steps * F * W), taps = draw(random, 9 * F);
  const Floats bias = draw(random, F), starts = draw(random, rows * W);
  const Floats codes = draw(random, B * F), step_sums = draw(random, F * max_steps * W);
  const Floats step_start = draw(random, std::max(T, max_steps) * W);
  double error = 0;
  const auto compare = [&](float found, double expected) {
    const double difference = std::abs(found - expected) / std::max(1.0, std::abs(expected));
    error = std::isfinite(found) ? std::max(error, difference) : INFINITY;
  };
  Threads threads(3);
  const refold::Pool pool = threads.pool(3);
  const int64_t *offsets = lengths.offsets.data(), dilation = 1 + random() % 4;
  const int64_t stride = 1 + random() % 3;

  for (const int64_t ld_start : {int64_t{0}, W}) {
    Floats y(rows * W);
    const Floats& from = ld_start ? starts : start;
    variant.product({rows, F, W, x.data(), F, w.data(), W, from.data(), ld_start, y.data(), W},
                    pool);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t j = 0; j < W; ++j) {
        double sum = from[row * ld_start + j];
        for (int64_t f = 0; f < F; ++f) sum += static_cast<double>(x[row * F + f]) * w[f * W + j];
        compare(y[row * W + j], sum);
      }
  }
  Floats steps(rows * W);
  variant.linear_decode({B, F, W, max_steps, offsets, codes.data(), step_sums.data(),
                         step_start.data(), steps.data()},
                        pool);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < lengths.length(b); ++t)
      for (int64_t j = 0; j < W; ++j) {
        double sum = step_start[t * W + j];
        for (int64_t f = 0; f < F && t < max_steps; ++f)
          sum += static_cast<double>(codes[b * F + f]) * step_sums[(f * max_steps + t) * W + j];
        compare(steps[(offsets[b] + t) * W + j], sum);
      }
  Floats ragged(B * W), total(B * F), highest(B * F), positive(B * F), peak(B * F);
  Floats share(B * F), place(B * F), longest(B * F);
  variant.linear_encode(
      {B, F, W, max_steps, offsets, x.data(), step_w.data(), nullptr, 0, ragged.data()}, pool);
  variant.segment_sum({B, F, offsets, x.data(), F, total.data()});
  variant.segment_max({B, F, offsets, x.data(), F, highest.data()});
  variant.pooled_convolutions({B, F, offsets, x.data(), F, taps.data(), bias.data(), 9, dilation,
                               stride, 4.0f, positive.data(), peak.data()},
                              pool);
  variant.pooled_runs({B, F, offsets, x.data(), F, taps.data(), bias.data(), 9, dilation, 0.1f,
                       share.data(), place.data(), longest.data()},
                      pool);
  for (int64_t b = 0; b < B; ++b) {
    const int64_t length = lengths.length(b);
    const auto value = [&](int64_t t, int64_t f) -> double {
      return t < 0 || t >= length ? 0 : x[(offsets[b] + t) * F + f];
    };
    for (int64_t j = 0; j < W; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < std::min(length, max_steps); ++t)
        for (int64_t f = 0; f < F; ++f) sum += value(t, f) * step_w[(t * F + f) * W + j];
      compare(ragged[b * W + j], sum);
    }
    for (int64_t f = 0; f < F; ++f) {
      double sum = 0, most = length ? -INFINITY : 0, positives = 0, top = most;
      int64_t count = 0, above = 0, near = 0, places = 0, run = 0, longest_run = 0;
      for (int64_t t = 0; t < length; ++t) {
        sum += value(t, f);
        most = std::max(most, value(t, f));
        double convolved = bias[f];
        for (int64_t k = 0; k < 9; ++k)
          convolved += value(t + (k - 4) * dilation, f) * taps[k * F + f];
        run = convolved > 0.1 ? run + 1 : 0;
        above += run > 0;
        near += convolved >= -0.1;
        places += run > 0 ? t : 0;
        longest_run = std::max(longest_run, run);
        if (t % stride) continue;
        positives += 1 / (1 + std::exp(-4 * convolved));
        top = std::max(top, convolved);
        ++count;
      }
      compare(total[b * F + f], sum);
      compare(highest[b * F + f], most);
      const double steps = std::max<int64_t>(1, length);
      compare(share[b * F + f], (above + near) / (2 * steps));
      compare(place[b * F + f], above ? places / (above * steps) : 0);
      compare(longest[b * F + f], longest_run / steps);
      compare(positive[b * F + f], count ? positives / count : 0);
      compare(peak[b * F + f], top);
    }
  }
  check(error < 2e-5, name + " packed operations B" + std::to_string(B) + " T" + std::to_string(T) +
                          " F" + std::to_string(F) + " W" + std::to_string(W) + ": error " +
                          std::to_string(error * 1e6) + "e-6");
}

void check_packed(const std::string& name, const refold::Variant& variant) {
  const refold::Shape shapes[] = {
      {1, 1, 1, 1},    {5, 4, 3, 8},    {13, 6, 5, 9},   {33, 5, 6, 20},
      {4, 3, 128, 33}, {6, 4, 129, 12}, {200, 3, 2, 17}, {0, 4, 2, 3},
      {3, 0, 2, 3},    {1, 9, 12, 100}, {3, 6, 5, 76},
  };
  unsigned seed = 0;
  for (const auto& shape : shapes)
    for (int64_t stride = 1; stride <= 2; ++stride)
      check_packed_lstm(name, variant, shape, ++seed, stride);
  for (auto shape : shapes)
    for (const int64_t features : {int64_t{0}, shape.features}) {
      shape.features = features;
      check_shared_inputs(name, variant, shape, ++seed);
    }
  for (const int64_t width : {1, 3, 16, 20, 32, 33, 70}) {
    check_packed_operations(name, variant, 1, 3, 2, width, ++seed);
    check_packed_operations(name, variant, 5, 30, 17, width, ++seed);
    check_packed_operations(name, variant, 110, 9, 40, width, ++seed);
    check_packed_operations(name, variant, 3, 0, 4, width, ++seed);
  }
}

// Checks that the C functions pass their arguments on, and that their own threads change no bit.
void check_interface() {
  if (!refold_variant()) return;
  std::mt19937 random(1);
  const int64_t B = 150, F = 140, H = 40;
  const Lengths lengths(B, 20, random);
  const int64_t rows = lengths.rows(), *offsets = lengths.offsets.data();
  const refold::Layout layout({1, 1, F, H});
  const refold::Buffer packed(layout.forward_weights), transposed(layout.backward_weights);
  const Floats x = draw(random, rows * F), kernel = draw(random, F * 4 * H),
               h0 = draw(random, B * H);
  const Floats recurrent = draw(random, H * 4 * H), bias = draw(random, 4 * H);
  const Floats d_outputs = draw(random, rows * H);
  const Floats sequence_sums = draw(random, B * 4 * H), step_sums = draw(random, 20 * 4 * H);
  std::vector<Floats> first;
  for (const int64_t threads : {1, 3}) {
    Floats outputs(rows * H), h(B * H), c(B * H), d_x(rows * F), d_h(B * H), d_c(B * H);
    Floats gates(rows * layout.gate_row), cells(rows * layout.units), y(rows * H), sums(B * H);
    Floats d_sequence_sums(B * 4 * H);
    const int failed =
        refold_pack_lstm(F, H, kernel.data(), recurrent.data(), bias.data(), packed) +
        refold_lstm_forward(B, F, H, offsets, x.data(), F, sequence_sums.data(), step_sums.data(),
                            packed, h0.data(), h0.data(), 1, outputs.data(), H, h.data(), c.data(),
                            gates.data(), cells.data(), threads) +
        refold_pack_lstm_gradient(F, H, kernel.data(), recurrent.data(), transposed) +
        refold_lstm_backward(B, F, H, offsets, transposed, h0.data(), 1, gates.data(), cells.data(),
                             d_outputs.data(), H, nullptr, nullptr, d_x.data(), F,
                             d_sequence_sums.data(), d_h.data(), d_c.data(), threads) +
        refold_product(rows, F, H, x.data(), F, kernel.data(), 4 * H, nullptr, 0, y.data(), H,
                       threads) +
        refold_linear_encode(B, F, H, 4, offsets, x.data(), kernel.data(), bias.data(), 0,
                             sums.data(), threads);
    const std::vector<Floats> all{outputs, h, c, d_x, d_sequence_sums, d_h, d_c, y, sums};
    if (first.empty()) first = all;
    check(!failed && all == first, "C functions with " + std::to_string(threads) + " threads");
  }
}

void check_functions(const std::string& name, const refold::Variant& variant) {
  Floats x;
  for (int i = -4400; i <= 4400; ++i) x.push_back(static_cast<float>(i) / 100);
  Floats y(x.size());
  const auto error = [&](auto function) {
    double largest = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double right = function(static_cast<double>(x[i]));
      largest = std::max(largest, std::abs(y[i] - right) / std::max(std::abs(right), 1e-18));
    }
    return largest;
  };
  const auto count = static_cast<int64_t>(x.size());
  variant.exp(x.data(), y.data(), count);
  check(error([](double v) { return std::exp(v); }) < 1e-6, name + " exp");
  variant.tanh(x.data(), y.data(), count);
  check(error([](double v) { return std::tanh(v); }) < 1e-6, name + " tanh");
  variant.sigmoid(x.data() + 100, y.data() + 100, count - 200);
  x.erase(x.begin(), x.begin() + 100), y.erase(y.begin(), y.begin() + 100);
  x.resize(x.size() - 100), y.resize(y.size() - 100);
  check(error([](double v) { return 1 / (1 + std::exp(-v)); }) < 1e-6, name + " sigmoid");
  x = {1e4f, -1e4f, INFINITY, -INFINITY, 3e38f, -3e38f};
  y.resize(x.size());
  bool finite = true;
  for (auto function : {variant.exp, variant.tanh, variant.sigmoid}) {
    function(x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (float value : y) finite = finite && std::isfinite(value);
  }
  check(finite, name + " saturates");
}

void check_threads() {
  {
    Threads lazy(1, true);
    int64_t sum = 0;
    refold::parallel(lazy.pool(4), 100, [&](int64_t item) { sum += item; });
    check(sum == 4950, "a pool that starts nothing: the caller does it all");
    lazy.close();
    check(sum == 4950, "tasks that start after the call find nothing to do");
  }
  {
    Threads one(1);
    std::atomic<int64_t> sum{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
      callers.emplace_back([&] {
        for (int call = 0; call < 50; ++call)
          refold::parallel(one.pool(3), 20, [&](int64_t item) { sum += item; });
      });
    for (auto& caller : callers) caller.join();
    check(sum == 4 * 50 * 190, "four callers share a pool of one thread");
  }
  Threads two(2);
  bool thrown = false;
  try {
    refold::parallel(two.pool(3), 10, [](int64_t item) {
      if (item == 5) throw std::runtime_error("item 5");
    });
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  check(thrown, "an error of an item reaches the caller");
}

}  // namespace

int main() {
  check_threads();
  for (const char* name : {"avx512", "avx2", "x86-64", "neon", "plain"})
    if (const refold::NamedVariant* named = refold::find_variant(name)) {
      check_functions(name, *named->variant);
      check_numbers(name, *named->variant);
      check_packed(name, *named->variant);
    }
  check_interface();
  std::printf("%d failed\n", failures);
  return failures != 0;
}
