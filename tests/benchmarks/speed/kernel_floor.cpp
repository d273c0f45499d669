// Time of the edge kernels alone: what a model with 3 layers cannot undercut on this machine.
//
// A layer sends, along each edge j -> i with the filters w(r) of a cubic B-spline table,
//   s_i = sum_j w0 h0_j,   v_i = sum_j u w1 h1_j + w2 v_j,
// and its backward pass returns dE/dh, dE/dv and the forces. Arrays begin 16 bytes past a cache line, where malloc puts
// large blocks, so that a load of 64 bytes touches two lines, or at the start of one. Prints one line of JSON; times
// are in us per atom.
#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

constexpr int kLayers = 3, kNeighbors = 55, kKnots = 30, kRepeats = 12;
constexpr float kCutoff = 5.0f, kIntervals = 20.0f, kInverseStep = kIntervals / kCutoff;

struct Edge {
  float ux, uy, uz, r;
};

// Weights of the four knots about r, their derivatives, and the first of the knots.
struct Spline {
  int knot;
  std::array<float, 4> value, slope;

  explicit Spline(float r) {
    const float t = r * kInverseStep;
    knot = static_cast<int>(t);
    const float f = t - static_cast<float>(knot), g = 1.0f - f;
    const float b0 = g * g * g / 6, b3 = f * f * f / 6, b1 = (3 * f * f * f - 6 * f * f + 4) / 6;
    value = {b0, b1, 1 - b0 - b1 - b3, b3};
    const float d0 = -g * g / 2 * kInverseStep, d3 = f * f / 2 * kInverseStep;
    const float d1 = (9 * f * f - 12 * f) / 6 * kInverseStep;
    slope = {d0, d1, -d0 - d1 - d3, d3};
  }
};

struct Graph {
  std::vector<int> first, neighbor;
  std::vector<Edge> edges;
};

// Floats that begin `offset` bytes past the start of a cache line.
class Buffer {
 public:
  Buffer(size_t size, size_t offset, float value = 0.0f) : storage_(size + 32, value), size_(size) {
    const auto address = reinterpret_cast<uintptr_t>(storage_.data());
    begin_ = storage_.data() + ((64 - address % 64) % 64 + offset) / sizeof(float);
  }
  float *data() { return begin_; }
  float *begin() { return begin_; }
  float *end() { return begin_ + size_; }
  float &operator[](size_t i) { return begin_[i]; }

 private:
  std::vector<float> storage_;
  size_t size_;
  float *begin_;
};

template <int C>
struct Tensors {
  Tensors(size_t n, size_t offset)
      : h(3 * C * n, offset),
        v(3 * C * n, offset),
        table(kKnots * 3 * C, offset),
        scalars(C * n, offset),
        vectors(3 * C * n, offset),
        scalar_gradient(C * n, offset, 0.1f),
        vector_gradient(3 * C * n, offset, 0.1f),
        h_gradient(3 * C * n, offset),
        v_gradient(3 * C * n, offset),
        forces(3 * n, offset) {}
  Buffer h, v, table, scalars, vectors, scalar_gradient, vector_gradient, h_gradient, v_gradient, forces;
};

inline float combine(const std::array<float, 4> &weight, const float *knots, int stride) {
  return weight[0] * knots[0] + weight[1] * knots[stride] + weight[2] * knots[2 * stride] +
         weight[3] * knots[3 * stride];
}

template <int C>
void forward(int n, const Graph &graph, Tensors<C> &t) {
#pragma omp parallel for schedule(dynamic, 16)
  for (int i = 0; i < n; ++i) {
    alignas(64) float s[C] = {}, v[3 * C] = {};
    for (int e = graph.first[i]; e < graph.first[i + 1]; ++e) {
      const Edge edge = graph.edges[e];
      const Spline spline(edge.r);
      const int j = graph.neighbor[e];
      const float *knots = t.table.data() + spline.knot * 3 * C, *hj = t.h.data() + j * 3 * C;
      const float *vj = t.v.data() + j * 3 * C;
#pragma omp simd
      for (int c = 0; c < C; ++c) {
        const float w0 = combine(spline.value, knots + c, 3 * C), w1 = combine(spline.value, knots + C + c, 3 * C);
        const float w2 = combine(spline.value, knots + 2 * C + c, 3 * C);
        s[c] += w0 * hj[c];
        const float b = w1 * hj[c + C], g = w2 * hj[c + 2 * C];
        v[c] += edge.ux * b + g * vj[c];
        v[c + C] += edge.uy * b + g * vj[c + C];
        v[c + 2 * C] += edge.uz * b + g * vj[c + 2 * C];
      }
    }
    std::memcpy(t.scalars.data() + i * C, s, sizeof s);
    std::memcpy(t.vectors.data() + i * 3 * C, v, sizeof v);
  }
}

// Gathers at the sender j: the list is full, so the edge i -> j is the edge j -> i turned round.
template <int C>
void backward(int n, const Graph &graph, Tensors<C> &t) {
#pragma omp parallel for schedule(dynamic, 16)
  for (int j = 0; j < n; ++j) {
    alignas(64) float dh[3 * C] = {}, dv[3 * C] = {};
    float fx = 0, fy = 0, fz = 0;
    const float *hj = t.h.data() + j * 3 * C, *vj = t.v.data() + j * 3 * C;
    for (int e = graph.first[j]; e < graph.first[j + 1]; ++e) {
      const float r = graph.edges[e].r, ux = -graph.edges[e].ux, uy = -graph.edges[e].uy, uz = -graph.edges[e].uz;
      const Spline spline(r);
      const float *knots = t.table.data() + spline.knot * 3 * C;
      const float *ds = t.scalar_gradient.data() + graph.neighbor[e] * C;
      const float *dvi = t.vector_gradient.data() + graph.neighbor[e] * 3 * C;
      float dr = 0, px = 0, py = 0, pz = 0;
#pragma omp simd reduction(+ : dr, px, py, pz)
      for (int c = 0; c < C; ++c) {
        const float *k0 = knots + c, *k1 = knots + C + c, *k2 = knots + 2 * C + c;
        const float w0 = combine(spline.value, k0, 3 * C), e0 = combine(spline.slope, k0, 3 * C);
        const float w1 = combine(spline.value, k1, 3 * C), e1 = combine(spline.slope, k1, 3 * C);
        const float w2 = combine(spline.value, k2, 3 * C), e2 = combine(spline.slope, k2, 3 * C);
        const float gx = dvi[c], gy = dvi[c + C], gz = dvi[c + 2 * C];
        const float along = ux * gx + uy * gy + uz * gz;
        const float product = vj[c] * gx + vj[c + C] * gy + vj[c + 2 * C] * gz;
        const float m1 = w1 * hj[c + C], m2 = w2 * hj[c + 2 * C];
        dh[c] += w0 * ds[c];
        dh[c + C] += w1 * along;
        dh[c + 2 * C] += w2 * product;
        dv[c] += m2 * gx;
        dv[c + C] += m2 * gy;
        dv[c + 2 * C] += m2 * gz;
        dr += e0 * hj[c] * ds[c] + e1 * hj[c + C] * along + e2 * hj[c + 2 * C] * product;
        px += m1 * gx;
        py += m1 * gy;
        pz += m1 * gz;
      }
      const float parallel = px * ux + py * uy + pz * uz;
      fx += dr * ux + (px - parallel * ux) / r;
      fy += dr * uy + (py - parallel * uy) / r;
      fz += dr * uz + (pz - parallel * uz) / r;
    }
    std::memcpy(t.h_gradient.data() + j * 3 * C, dh, sizeof dh);
    std::memcpy(t.v_gradient.data() + j * 3 * C, dv, sizeof dv);
    t.forces[3 * j] += fx;
    t.forces[3 * j + 1] += fy;
    t.forces[3 * j + 2] += fz;
  }
}

Graph random_graph(int n, std::mt19937 &random) {
  std::uniform_real_distribution<float> uniform(0, 1);
  Graph graph;
  for (int i = 0; i <= n; ++i) graph.first.push_back(i * kNeighbors);
  for (int e = 0; e < n * kNeighbors; ++e) {
    const int shift = static_cast<int>(random() % 400) - 200;
    graph.neighbor.push_back(((e / kNeighbors + shift) % n + n) % n);
    const float r = 1 + 3.9f * uniform(random);
    graph.edges.push_back({uniform(random), uniform(random), uniform(random), r});
  }
  return graph;
}

double microseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

template <int C>
void measure(int n, size_t offset, bool last = false) {
  std::mt19937 random(0);
  const Graph graph = random_graph(n, random);
  Tensors<C> tensors(n, offset);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (auto *values : {&tensors.h, &tensors.v, &tensors.table})
    for (float &value : *values) value = uniform(random);
  double fastest_forward = 1e30, fastest_backward = 1e30;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    forward<C>(n, graph, tensors);
    const auto middle = std::chrono::steady_clock::now();
    backward<C>(n, graph, tensors);
    const auto end = std::chrono::steady_clock::now();
    fastest_forward = std::min(fastest_forward, microseconds(middle - start) / n);
    fastest_backward = std::min(fastest_backward, microseconds(end - middle) / n);
  }
  std::printf(
      "{\"channels\": %d, \"atoms\": %d, \"offset\": %zu, \"forward\": %.4f, \"backward\": %.4f, \"layers\": %.4f}%s",
      C, n, offset, fastest_forward, fastest_backward, kLayers * (fastest_forward + fastest_backward),
      last ? "" : ", ");
}

}  // namespace

int main() {
  std::printf("{\"threads\": %d, \"neighbors\": %d, \"sizes\": [", omp_get_max_threads(), kNeighbors);
  measure<64>(4096, 16);
  measure<64>(4096, 0);
  measure<64>(192, 16);
  measure<64>(192, 0);
  measure<128>(4096, 0, true);
  std::printf("]}\n");
}
