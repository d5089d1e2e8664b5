// Attention of agents over entities, of a block of frames whose arrays stay in the cache.
//
// Shape legend: F frames of the block, A agents, E entities (the agents first; P with what fills
// the last vector), D features, M masks, W width of an embedded entity, H heads, K = W / H, V
// columns of a head's value, T columns of what is taken, O of the output.
#pragma once

#include <vector>

#include "large_product.h"

// As `Sizes` in attention.py. What is taken of the values v by the weights p is
//   [M, A, H * V]  p v of each head
//   [M, A, V]      their sum, if `summed`
//   [M, H * W]     p summed over the agents, times the embedded entities, if `pooled`
// and then mapped to O columns, unless `output` is 0, and a bias is added if it is `biased`.
struct Sizes {
  int64_t frames, agents, entities, features, masks, width, heads, value, output;
  int64_t biased, pooled, summed, rectified, threads, parts, narrow;
};

// As torch.nn.Linear holds them. The pooled have no values; an output and a bias not all have.
struct Weights {
  const float *embed, *embed_bias, *query, *key, *value, *output, *bias;
};

// What follows from the sizes.
struct Shape : Sizes {
  explicit Shape(const Sizes& sizes) : Sizes(sizes) {}
  static constexpr long kRowsOfABlock = 192;  // entities: what comes of them fits a cache of 2 MB
  long block = share_of(frames, parts, kRowsOfABlock / entities);         // frames
  long places = (entities + kLanes - 1) / kLanes * kLanes;               // P
  long key = width / heads;                                              // K
  long values = pooled ? width : heads * value;   // columns of an entity's values
  long taken = summed ? value : heads * value;    // T
  long next_taken = summed ? 0 : value;           // from what one head takes to the next one's
  long rows = pooled ? masks : masks * agents;    // of what is taken, for each frame
  long results = output ? output : taken;         // columns of the result
  // A product takes the values of one head, or, of the pooled, what all heads share.
  long products = pooled ? 1 : heads;
  long product_rows = pooled ? masks * heads : masks * agents;
  long next_used = pooled ? places : heads * places;  // from one of these rows' weights to the next
  long next_row = pooled ? value : taken;             // and from what it takes
  // Floats of a frame that are kept for the way back: see AttentionBlock.
  long kept = agents * width + (pooled ? 0 : entities * values) + agents * heads * places;
};

// The weights as the products of the way forward need them.
struct Factors {
  Factor embed, query, value, output;
  std::vector<Factor> key;  // head by head

  Factors(const Shape& s, const Weights& w)
      : embed({w.embed, 1, s.features}, s.features, s.width, s.narrow),
        query({w.query, 1, s.width}, s.width, s.width, s.narrow),
        value({w.value, 1, s.width}, s.width, s.pooled ? 0 : s.values, s.narrow),
        output({w.output, 1, s.taken}, s.taken, s.output, s.narrow) {
    for (long h = 0; h < s.heads; ++h)
      key.emplace_back(Matrix{w.key + h * s.key * s.width, s.width, 1}, s.key, s.width, s.narrow);
  }
};

inline void add_bias(float* x, const float* bias, long rows, long columns, bool rectify) {
  for (; rows > 0; --rows, x += columns)
    for (long c = 0; c < columns; c += kLanes) {
      const Vector sum = at(x + c) + at(bias + c);
      at(x + c) = rectify ? rectified(sum) : sum;
    }
}

class AttentionBlock {
 public:
  AttentionBlock(const Shape& shape, const Factors& factors, const Weights& weights)
      : s(shape), factors(factors), w(weights) {
    for (long e = 0; e < s.places; ++e) exists[e] = e < s.entities;
    const long of_mask = s.agents * s.heads;
    for (long row = 0; row < s.masks * of_mask; ++row)
      used_row.push_back(s.pooled ? row / of_mask * s.heads + row % s.heads : row);
  }

  // Begins a block; what is kept of it lies at `place` [frames, kept], or in the block's own memory.
  void begin(float* place, long frames) {
    queries = place ? place : own.data();
    values = queries + frames * s.agents * s.width;
    scores = values + (s.pooled ? 0 : frames * s.entities * s.values);
  }

  void embed(const float* entities, long frames) {
    const long W = s.width, rows = frames * s.entities;
    large(embedded.data(), W, {entities, s.features, 1}, factors.embed, rows);
    add_bias(embedded.data(), w.embed_bias, rows, W, true);
    for (long f = 0; f < frames; ++f)
      std::memcpy(&team[f * s.agents * W], &embedded[f * s.entities * W], 4 * s.agents * W);
  }

  void project(long frames) {
    const long W = s.width;
    large(queries, W, {team.data(), W, 1}, factors.query, frames * s.agents);
    if (!s.pooled)
      large(values, s.values, {embedded.data(), W, 1}, factors.value, frames * s.entities);
  }

  // Queries mapped back to where the entities are.
  void map_back(long frames) {
    const long W = s.width;
    for (long h = 0; h < s.heads; ++h)
      large(&mapped[h * W], s.heads * W, {queries + h * s.key, W, 1}, factors.key[h],
            frames * s.agents);
  }

  // The exponentials of frame f's scores.
  void score(long f) {
    const long W = s.width, P = s.places, rows = s.agents * s.heads;
    float* of_frame = scores + f * rows * P;
    lay_across(f);
    product(of_frame, P, {&mapped[f * rows * W], W, 1}, embedded_t.data(), P, rows, P, W);
    for (long row = 0; row < rows; ++row) {
      float* score = of_frame + row * P;
      const float of_itself = score[row / s.heads];
      for (long e = 0; e < P; e += kLanes)
        at(score + e) = exponential(between(at(score + e) - of_itself, -kReach, kReach));
    }
  }

  // The weights of frame f, under its masks [M, A, E]: the exponentials that they let through, over
  // their sum.
  void weigh(const bool* masks, long f) {
    const long P = s.places, H = s.heads, rows = s.masks * s.agents * H;
    let_through(scores + f * s.agents * H * P, masks);
    sums_of(sums.data(), rows, [&](long row) { return added_up(&weights[row * P]); });
    for (long row = 0; row < rows; row += kLanes) {
      const Vector sum = at(&sums[row]);
      at(&sums[row]) = sum == 0.0f ? Vector{} : 1.0f / sum;
    }
    if (s.pooled) std::memset(shares.data(), 0, 4 * shares.size());
    for (long row = 0; row < rows; ++row)
      for (long e = 0; e < P; e += kLanes) {
        at(&weights[row * P + e]) *= sums[row];
        if (s.pooled) at(&shares[used_row[row] * P + e]) += at(&weights[row * P + e]);
      }
  }

  // What is taken in frame f, [rows, T].
  void take(long f, float* to) {
    for (long h = 0; h < s.products; ++h)
      product(to + h * s.next_taken, s.next_row, {used() + h * s.places, s.next_used, 1},
              values_of(f) + h * s.value, s.values, s.product_rows, s.value, s.entities,
              s.summed && h > 0);
  }

  // The results of all frames; they are what was taken, if there is no output layer.
  void finish(float* results, long frames) {
    const long rows = frames * s.rows;
    if (s.output)
      large(results, s.output, {taken.data(), s.taken, 1}, factors.output, rows);
    if (s.biased) add_bias(results, w.bias, rows, s.results, s.rectified);
  }

  const Shape& s;
  LargeProduct large{s.narrow != 0};
  Array embedded{s.block * s.entities * s.width};
  Array taken{s.block * s.rows * s.taken};

 protected:
  // As in attention.py: scores farther than this from the agent's own are not told apart.
  static constexpr float kReach = 80.0f;

  void let_through(const float* exponentials, const bool* masks) {
    const long P = s.places, of_agent = s.heads * P;
    std::memcpy(seen.data(), masks, s.masks * s.agents * s.entities);
    for (long row = 0; row < s.masks * s.agents; ++row)
      for (long e = 0; e < P; e += kLanes) {
        const auto& bytes = *reinterpret_cast<const Bytes*>(seen.data() + row * s.entities + e);
        const Vector open = __builtin_convertvector(bytes, Vector) * at(&exists[e]);
        const float* of_score = exponentials + row % s.agents * of_agent + e;
        for (long h = 0; h < of_agent; h += P)
          at(&weights[row * of_agent + h + e]) = at(of_score + h) * open;
      }
  }

  // The vectors of a row [P], added up.
  Vector added_up(const float* row) const {
    Vector sum = at(row);
    for (long e = kLanes; e < s.places; e += kLanes) sum += at(row + e);
    return sum;
  }

  void lay_across(long f) {
    const float* of_frame = &embedded[f * s.entities * s.width];
    transpose(embedded_t.data(), s.places, of_frame, s.width, s.entities, s.width);
  }

  const float* used() const { return s.pooled ? shares.data() : weights.data(); }
  const float* values_of(long f) const {
    return s.pooled ? &embedded[f * s.entities * s.width] : values + f * s.entities * s.values;
  }

  const Factors& factors;
  const Weights& w;
  // Kept for the way back, where that is faster than to compute them again:
  float *queries, *values, *scores;  // F,A,H,K; F,E,H * V; F,A,H,P, the exponentials
  Array own{s.block * s.kept};
  Array team{s.block * s.agents * s.width};              // F,A,W
  Array mapped{s.block * s.agents * s.heads * s.width};  // F,A,H,W
  // Of one frame:
  Array embedded_t{s.width * s.places};                       // W,P
  std::vector<char> seen = std::vector<char>(s.masks * s.agents * s.entities + s.places);  // M,A,E
  std::vector<long> used_row;  // of each row of weights, in what is used
  Array exists{s.places};                                     // P, 0 or 1
  Array weights{s.masks * s.agents * s.heads * s.places};     // M,A,H,P
  Array sums{s.masks * s.agents * s.heads + kLanes};          // M,A,H, or 1 over them
  Array shares{s.pooled ? s.masks * s.heads * s.places : 0};  // M,H,P
};
