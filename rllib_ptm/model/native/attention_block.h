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
  int64_t biased, pooled, summed, rectified, threads, narrow;
};

// As torch.nn.Linear holds them. The pooled have no values; an output and a bias not all have.
struct Weights {
  const float *embed, *embed_bias, *query, *key, *value, *output, *bias;
};

// What follows from the sizes.
struct Shape : Sizes {
  explicit Shape(const Sizes& sizes) : Sizes(sizes) {}
  static constexpr long kRowsOfABlock = 192;  // entities: what comes of them fits a cache of 2 MB
  long block = share_of(frames, threads, kRowsOfABlock / entities);       // frames
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
    std::memset(seen.data(), 0, 4 * s.places);  // what fills the last vector stays so
  }

  // Begins a block; what is kept of it lies at `place` [frames, kept], or in the block's own memory.
  void begin(float* place, long frames) {
    queries = place ? place : own.data();
    values = queries + frames * s.agents * s.width;
    scores = values + (s.pooled ? 0 : frames * s.entities * s.values);
  }

  void embed(const float* entities, long frames) {
    const long W = s.width, rows = frames * s.entities;
    large(embedded.data(), W, {entities, s.features, 1}, factors.embed, rows, W, s.features);
    add_bias(embedded.data(), w.embed_bias, rows, W, true);
    for (long f = 0; f < frames; ++f)
      std::memcpy(&team[f * s.agents * W], &embedded[f * s.entities * W], 4 * s.agents * W);
  }

  void project(long frames) {
    const long W = s.width;
    large(queries, W, {team.data(), W, 1}, factors.query, frames * s.agents, W, W);
    if (!s.pooled)
      large(values, s.values, {embedded.data(), W, 1}, factors.value, frames * s.entities,
            s.values, W);
  }

  // Queries mapped back to where the entities are.
  void map_back(long frames) {
    const long W = s.width;
    for (long h = 0; h < s.heads; ++h)
      large(&mapped[h * W], s.heads * W, {queries + h * s.key, W, 1}, factors.key[h],
            frames * s.agents, W, s.key);
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

  // The weights of frame f, under its masks [M, A, E].
  void weigh(const bool* masks, long f) {
    const float* of_frame = scores + f * s.agents * s.heads * s.places;
    if (s.pooled) std::memset(shares.data(), 0, 4 * shares.size());
    for (long m = 0; m < s.masks; ++m)
      for (long a = 0; a < s.agents; ++a)
        softmax(of_frame, masks + (m * s.agents + a) * s.entities, m, a);
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
      large(results, s.output, {taken.data(), s.taken, 1}, factors.output, rows, s.output, s.taken);
    if (s.biased) add_bias(results, w.bias, rows, s.results, s.rectified);
  }

  const Shape& s;
  LargeProduct large{s.narrow != 0};
  Array embedded{s.block * s.entities * s.width};
  Array taken{s.block * s.rows * s.taken};

 protected:
  // As in attention.py: scores farther than this from the agent's own are not told apart.
  static constexpr float kReach = 80.0f;

  // The weights of one agent under one mask: the exponentials that it lets through, over their sum.
  void softmax(const float* scores, const bool* mask, long m, long a) {
    const long P = s.places;
    for (long e = 0; e < s.entities; ++e) seen[e] = mask[e];
    for (long h = 0; h < s.heads; ++h) {
      const float* score = scores + (a * s.heads + h) * P;
      float* weight = &weights[((m * s.agents + a) * s.heads + h) * P];
      float* share = &shares[(m * s.heads + h) * P];
      Vector sums{};
      for (long e = 0; e < P; e += kLanes) {
        at(weight + e) = at(score + e) * at(&seen[e]);
        sums += at(weight + e);
      }
      const float sum = sum_of(sums), scale = sum == 0.0f ? 0.0f : 1.0f / sum;
      for (long e = 0; e < P; e += kLanes) at(weight + e) *= scale;
      if (s.pooled)
        for (long e = 0; e < P; e += kLanes) at(share + e) += at(weight + e);
    }
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
  Array seen{s.places};                                       // P, of one agent and mask
  Array weights{s.masks * s.agents * s.heads * s.places};     // M,A,H,P
  Array shares{s.pooled ? s.masks * s.heads * s.places : 0};  // M,H,P
};
