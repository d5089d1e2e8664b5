// Attention of agents over entities, forward, for one block of frames that fits the cache.
//
// Shape legend: F frames of the block; A agents; E entities, the agents first; P entities of a
// frame that take part, rounded up to whole vectors; D features of an entity; M masks; W width of an
// embedded entity; H heads; K = W / H, columns of a head's query and key; V columns of a head's
// value; T columns of the attended values; O columns of the output layer.
//
// For each frame, with x_e the features of entity e and h a head:
//   embedding          y_e = ReLU(embed x_e + embed_bias)                 [E, W]
//   queries            q_ah = query_h y_a                                 [A, H, K]
//   mapped queries     k_ah = key_h' q_ah                                 [A, H, W]
//   scores             s_ahe = k_ah . y_e                                 [A, H, E]
//   attention weights  softmax of s over the entities that mask m shows   [M, A, H, E]
//   values             v_eh = value_h y_e                                 [E, H, V]
//   attended values    weights times values                               [M, A, H * V]
//   output             output times attended values + bias, then ReLU     [M, A, O]
// Keys are never computed: (key_h y_e) . q_ah = y_e . (key_h' q_ah), and there are fewer agents
// than entities. The scale of the scores is part of the query weight. All this is computed only for
// those who take part: see taking_part.h.
#pragma once

#include <vector>

#include "blocks.h"
#include "masked_softmax.h"
#include "structs.h"
#include "weight_product.h"

// What follows from the sizes. The attended values are one of
//   [M, A, H * V]  weights times values, head by head
//   [M, A, V]      their sum over the heads, if `summed`
//   [M, H * W]     the weights, summed over the agents, times the embedded entities, if `pooled`
struct Shape : AttentionSizes {
  explicit Shape(const AttentionSizes& sizes) : AttentionSizes(sizes) {}
  static constexpr long kEntitiesPerBlock = 192;  // with these, a block's arrays fit 2 MB of cache
  Blocks blocks{frames, kEntitiesPerBlock / entities, partial_sums, threads};
  long block_frames = blocks.size;
  long padded_entities = (entities + kLanes - 1) / kLanes * kLanes;      // the most of P
  long head_width = width / heads;                                       // K
  long value_columns = pooled ? width : heads * head_value;              // of one entity
  long attended_columns = summed ? head_value : heads * head_value;      // T
  // From one head's attended values to the next head's.
  long attended_head_stride = summed ? 0 : head_value;
  long attended_rows = pooled ? masks : masks * agents;                  // of one frame
  long result_columns = output ? output : attended_columns;
  // The products of weights and values: one for each head; pooled, one for all heads, because these
  // share their values.
  long num_products = pooled ? 1 : heads;
  // From one row of such a product to the next, in the attended values.
  long attended_stride = pooled ? head_value : attended_columns;
  // Floats saved per frame for the backward pass: queries, values and exponentials of the scores.
  long saved_floats = agents * width + (pooled ? 0 : entities * value_columns) +
                      agents * heads * padded_entities;
};

// The weights, packed for the products of the forward pass.
struct ForwardWeights {
  PackedMatrix embed, query, value, output;
  std::vector<PackedMatrix> key;  // one for each head

  ForwardWeights(const Shape& s, const AttentionWeights& w)
      : embed({w.embed, 1, s.features}, s.features, s.width, s.use_bf16),
        query({w.query, 1, s.width}, s.width, s.width, s.use_bf16),
        value({w.value, 1, s.width}, s.width, s.pooled ? 0 : s.value_columns, s.use_bf16),
        output({w.output, 1, s.attended_columns}, s.attended_columns, s.output, s.use_bf16) {
    for (long h = 0; h < s.heads; ++h)
      key.emplace_back(Matrix{w.key + h * s.head_width * s.width, s.width, 1}, s.head_width,
                       s.width, s.use_bf16);
  }
};

// x [rows, columns] += bias [columns], then a ReLU if asked for.
inline void add_bias(float* x, const float* bias, long rows, long columns, bool rectify) {
  for (; rows > 0; --rows, x += columns)
    for (long c = 0; c < columns; c += kLanes) {
      const Vector sum = at(x + c) + at(bias + c);
      at(x + c) = rectify ? relu(sum) : sum;
    }
}

// The stages of the forward pass and their arrays. The backward pass runs the same stages again.
class AttentionBlock {
 public:
  AttentionBlock(const Shape& shape, const ForwardWeights& packed, const AttentionWeights& weights)
      : s(shape), packed(packed), w(weights) {
    for (long c = 0; c < s.result_columns; c += kLanes) {
      const Vector bias = s.has_bias ? at(w.bias + c) : Vector{};
      at(&result_of_nothing[c]) = s.rectified ? relu(bias) : bias;
    }
  }

  // Begins a block with these masks [F, M, A, E]. `saved` [F, saved_floats] is where queries,
  // values and scores go; null = into memory of this object.
  void begin(const bool* masks, float* saved, long frames) {
    taking_part.find(masks, frames);
    queries = saved ? saved : unsaved.data();
    values = queries + frames * s.agents * s.width;
    exp_scores = values + (s.pooled ? 0 : frames * s.entities * s.value_columns);
  }

  // From features [F, E, D].
  void embed(const float* entities) {
    const long W = s.width, D = s.features, rows = taking_part.entities();
    for (long row = 0; row < rows; ++row)
      std::memcpy(&features[row * D], entities + taking_part.entity_slot(row) * D, 4 * D);
    product(embedded.data(), W, {features.data(), D, 1}, packed.embed, rows);
    add_bias(embedded.data(), w.embed_bias, rows, W, true);
    for (const Frame& f : taking_part.frames())
      std::memcpy(&embedded_agents[f.first_agent * W], &embedded[f.first_entity * W],
                  4 * f.agents * W);
  }

  void compute_queries_and_values() {
    const long W = s.width;
    product(queries, W, {embedded_agents.data(), W, 1}, packed.query, taking_part.agents());
    if (!s.pooled)
      product(values, s.value_columns, {embedded.data(), W, 1}, packed.value,
              taking_part.entities());
  }

  void map_queries() {
    const long W = s.width;
    for (long h = 0; h < s.heads; ++h)
      product(&mapped_queries[h * W], s.heads * W, {queries + h * s.head_width, W, 1},
              packed.key[h], taking_part.agents());
  }

  // The exponentials of a frame's scores.
  void compute_exp_scores(const Frame& f) {
    const long W = s.width, P = f.padded_entities;
    float* scores = frame_exp_scores(f);
    transpose_embedded(f);
    multiply(scores, P, {frame_mapped_queries(f), W, 1}, embedded_transposed.data(), P,
             f.agents * s.heads, P, W);
    softmax.exponentiate(scores, f);
  }

  // The attention weights of a frame under its masks [M, A, E], and their sum over the agents.
  void compute_weights(const bool* masks, const Frame& f) {
    softmax.compute_weights(frame_exp_scores(f), masks, taking_part, f);
    if (!s.pooled) return;
    const long P = f.padded_entities, rows = s.masks * f.agents * s.heads;
    std::memset(pooled_weights.data(), 0, 4 * pooled_weights.size());
    for (long row = 0; row < rows; ++row) {
      float* pooled = &pooled_weights[value_weight_row(f, row) * P];
      for (long e = 0; e < P; e += kLanes)
        at(pooled + e) += at(softmax.weights() + row * P + e);
    }
  }

  // The attended values of a frame, [M, its agents, T] or [M, T].
  void attend(const Frame& f) {
    float* to = &attended[attended_row(f) * s.attended_columns];
    if (!f.entities) {  // nobody sees anything
      std::memset(to, 0, 4 * attended_rows(f) * s.attended_columns);
      return;
    }
    for (long h = 0; h < s.num_products; ++h)
      multiply(to + h * s.attended_head_stride, s.attended_stride,
               {value_weights() + h * f.padded_entities, weights_stride(f), 1},
               frame_values(f) + h * s.head_value, s.value_columns, product_rows(f), s.head_value,
               f.entities, s.summed && h > 0);
  }

  // The results [F, attended_rows, result_columns]. Without an output layer they are the attended
  // values, plus the bias.
  void compute_results(float* results) {
    const long rows = all_attended_rows(), columns = s.result_columns;
    float* computed = s.output ? outputs.data() : attended.data();
    if (s.output)
      product(computed, columns, {attended.data(), s.attended_columns, 1}, packed.output, rows);
    if (s.has_bias) add_bias(computed, w.bias, rows, columns, s.rectified);
    for_each_result([&](long row, bool takes_part) {
      std::memcpy(results + row * columns, takes_part ? computed : result_of_nothing.data(),
                  4 * columns);
      if (takes_part) computed += columns;
    });
  }

  // The embedded entities [F, E, W], zero for those that take no part.
  void store_embedded(float* to) const {
    const long W = s.width;
    std::memset(to, 0, 4 * taking_part.frames().size() * s.entities * W);
    for (long row = 0; row < taking_part.entities(); ++row)
      std::memcpy(to + taking_part.entity_slot(row) * W, &embedded[row * W], 4 * W);
  }

  const std::vector<Frame>& frames() const { return taking_part.frames(); }

 protected:
  // Calls visit(row, whether it is computed) for each row of the results [F, attended_rows].
  template <class Visit>
  void for_each_result(Visit visit) const {
    long row = 0;
    for (size_t f = 0; f < taking_part.frames().size(); ++f)
      for (long m = 0; m < s.masks; ++m) {
        if (s.pooled) visit(row++, true);
        else
          for (long a = 0; a < s.agents; ++a) visit(row++, taking_part.sees(f, a));
      }
  }

  void transpose_embedded(const Frame& f) {
    transpose(embedded_transposed.data(), f.padded_entities, &embedded[f.first_entity * s.width],
              s.width, f.entities, s.width);
  }

  // The weights that multiply the values: of each agent, or summed over the agents.
  const float* value_weights() const {
    return s.pooled ? pooled_weights.data() : softmax.weights();
  }
  // The row of value_weights() that a row of the weights [M, agents, H] is part of.
  long value_weight_row(const Frame& f, long row) const {
    return s.pooled ? row / (f.agents * s.heads) * s.heads + row % s.heads : row;
  }
  // From one row of the product of weights and values to the next, in the weights.
  long weights_stride(const Frame& f) const {
    return s.pooled ? f.padded_entities : s.heads * f.padded_entities;
  }
  long product_rows(const Frame& f) const { return s.masks * (s.pooled ? s.heads : f.agents); }
  // The attended values of a frame: their first row in the block, and how many they are.
  long attended_row(const Frame& f) const { return s.masks * (s.pooled ? f.index : f.first_agent); }
  long attended_rows(const Frame& f) const { return s.masks * (s.pooled ? 1 : f.agents); }
  long all_attended_rows() const {
    return s.masks * (s.pooled ? long(frames().size()) : taking_part.agents());
  }
  // What the weights multiply: the values of a frame, or its embedded entities.
  const float* frame_values(const Frame& f) const {
    return s.pooled ? &embedded[f.first_entity * s.width]
                    : values + f.first_entity * s.value_columns;
  }
  // There is room for the rows of all entities; those of a frame lie closer, P apart.
  float* frame_exp_scores(const Frame& f) const {
    return exp_scores + f.first_agent * s.heads * s.padded_entities;
  }
  float* frame_mapped_queries(const Frame& f) const {
    return &mapped_queries[f.first_agent * s.heads * s.width];
  }

  const Shape& s;
  const ForwardWeights& packed;
  const AttentionWeights& w;
  WeightProduct product{s.use_bf16 != 0};
  TakingPart taking_part{s.masks, s.agents, s.entities};
  // Saved for the backward pass where reading them is faster than computing them again:
  float *queries, *values, *exp_scores;  // F,A,H,K; F,E,H * V; F,A,H,P
  // All have room for whole frames. Rows of those that take part come first.
  Array unsaved{s.block_frames * s.saved_floats};
  Array features{s.block_frames * s.entities * s.features};             // F,E,D
  Array embedded{s.block_frames * s.entities * s.width};                // F,E,W
  Array embedded_agents{s.block_frames * s.agents * s.width};           // F,A,W
  Array mapped_queries{s.block_frames * s.agents * s.heads * s.width};  // F,A,H,W
  Array attended{s.block_frames * s.attended_rows * s.attended_columns};  // F,M,A,T; pooled F,M,T
  Array outputs{s.block_frames * s.attended_rows * s.output};             // F,M,A,O; pooled F,M,O
  Array result_of_nothing{s.result_columns};  // of an agent that sees nothing
  // Of one frame:
  Array embedded_transposed{s.width * s.padded_entities};  // W,P
  MaskedSoftmax softmax{s.masks, s.agents, s.heads, s.padded_entities};
  Array pooled_weights{s.pooled ? s.masks * s.heads * s.padded_entities : 0};  // M,H,P
};
