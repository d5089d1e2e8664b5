// Attention of agents over entities and the gradient of its weights; called by attention.py.
//
// attention_block.h has the equations and the shape legend. Each thread takes a block of frames
// through all stages before it takes the next block, so that only inputs, results and their
// gradients leave the cache. The backward pass computes the stages of the forward pass again,
// except those that were saved. It sums gradients in parts: see blocks.h.
#include "attention_block.h"

namespace {

// The gradients of all weights, one after the other. That of the embedding is transposed: [D, W].
struct Gradients {
  float *embed, *embed_bias, *query, *key, *value, *output, *bias;

  Gradients() = default;
  Gradients(float* start, const Shape& s) {
    const auto next = [&](long size) {
      float* here = start;
      start += size;
      return here;
    };
    embed = next(s.features * s.width);
    embed_bias = next(s.width);
    query = next(s.width * s.width);
    key = next(s.width * s.width);
    value = next(s.pooled ? 0 : s.value_columns * s.width);
    output = next(s.output * s.attended_columns);
    bias = next(s.has_bias ? s.result_columns : 0);
  }
};

// The weights, packed for the products of the backward pass.
struct BackwardWeights {
  PackedMatrix query, value, output;
  std::vector<PackedMatrix> key;  // one for each head

  BackwardWeights(const Shape& s, const AttentionWeights& w)
      : query({w.query, s.width, 1}, s.width, s.width, s.use_bf16),
        value({w.value, s.width, 1}, s.pooled ? 0 : s.value_columns, s.width, s.use_bf16),
        output({w.output, s.attended_columns, 1}, s.output, s.attended_columns, s.use_bf16) {
    for (long h = 0; h < s.heads; ++h)
      key.emplace_back(Matrix{w.key + h * s.head_width * s.width, 1, s.width}, s.width,
                       s.head_width, s.use_bf16);
  }
};

// The backward pass of one block of frames.
class GradientBlock : public AttentionBlock {
 public:
  GradientBlock(const Shape& shape, const ForwardWeights& packed, const BackwardWeights& backward,
                const AttentionWeights& weights)
      : AttentionBlock(shape, packed, weights), backward(backward) {}

  // From now on, gradients of the weights are added to `sums` [all weights].
  void add_to(float* sums) { gradients = Gradients(sums, s); }

  // Adds the gradients of one block. `saved` may be null. So may grad_embedded, the gradient of the
  // embedded entities [F, E, W] from their other uses.
  void run(const float* entities, const bool* masks, const float* result, float* saved,
           const float* grad_result, const float* grad_embedded_result, long num_frames) {
    begin(masks, saved, num_frames);
    embed(entities);
    if (!saved) compute_queries_and_values();
    map_queries();
    if (!saved)
      for (const Frame& f : frames()) compute_exp_scores(f);
    gather_grad_results(result, grad_result);
    const float* grad_attended_values = s.output ? backward_output() : grad_results.data();
    for (const Frame& f : frames()) {
      compute_weights(masks + f.index * s.masks * s.agents * s.entities, f);
      if (s.output) attend(f);
      backward_attention(grad_attended_values + attended_row(f) * s.attended_columns, f);
    }
    if (s.output)
      product.add_gradient(gradients.output, s.attended_columns,
                           {grad_results.data(), 1, s.output}, attended.data(), s.attended_columns,
                           s.output, s.attended_columns, all_attended_rows());
    backward_values_and_queries();
    backward_embedding(grad_embedded_result);
  }

 private:
  // The gradient of the results that are computed, before the ReLU. The bias gets that of all
  // results: without anything to see, the result is the bias.
  void gather_grad_results(const float* result, const float* grad_result) {
    const long columns = s.result_columns;
    float* to = grad_results.data();
    for_each_result([&](long row, bool takes_part) {
      for (long c = 0; c < columns; c += kLanes) {
        Vector x = at(grad_result + row * columns + c);
        if (s.rectified) x = at(result + row * columns + c) <= 0.0f ? Vector{} : x;
        if (s.has_bias) at(gradients.bias + c) += x;
        if (takes_part) at(to + c) = x;
      }
      if (takes_part) to += columns;
    });
  }

  // Through the output layer -> the gradient of the attended values, [F, attended_rows, T].
  const float* backward_output() {
    product(grad_attended.data(), s.attended_columns, {grad_results.data(), s.output, 1},
            backward.output, all_attended_rows());
    return grad_attended.data();
  }

  // In a frame, from the attended values to the values (pooled: the embedded entities), and through
  // the scores to the embedded entities and the mapped queries.
  void backward_attention(const float* grad_attended_values, const Frame& f) {
    if (!f.entities) return;
    const long W = s.width, P = f.padded_entities, E = f.entities, rows = f.agents * s.heads;
    float* grad_entities = &grad_embedded[f.first_entity * W];
    if (s.pooled) transpose_embedded(f);
    else
      transpose(values_transposed.data(), P, frame_values(f), s.value_columns, E, s.value_columns);
    const float* transposed = s.pooled ? embedded_transposed.data() : values_transposed.data();
    float* grad_frame_values =
        s.pooled ? grad_entities : &grad_values[f.first_entity * s.value_columns];
    for (long h = 0; h < s.num_products; ++h) {
      const float* grad_head = grad_attended_values + h * s.attended_head_stride;
      multiply(&grad_value_weights[h * P], weights_stride(f), {grad_head, s.attended_stride, 1},
               transposed + h * s.head_value * P, P, product_rows(f), P, s.head_value);
      multiply(grad_frame_values + h * s.head_value, s.value_columns,
               {value_weights() + h * P, 1, weights_stride(f)}, grad_head, s.attended_stride, E,
               s.head_value, product_rows(f));
    }
    softmax.backward(grad_scores.data(), frame_exp_scores(f), f, [&](long row) {
      return &grad_value_weights[value_weight_row(f, row) * P];
    });
    multiply(grad_entities, W, {grad_scores.data(), 1, P}, frame_mapped_queries(f), W, E, W, rows,
             s.pooled);
    multiply(&grad_mapped_queries[f.first_agent * s.heads * W], W, {grad_scores.data(), P, 1},
             &embedded[f.first_entity * W], W, rows, W, E);
  }

  // Through the layers of values, keys and queries to the embedded entities.
  void backward_values_and_queries() {
    const long W = s.width, H = s.heads;
    const long rows = taking_part.entities(), agents = taking_part.agents();
    if (!s.pooled) {
      product(grad_embedded.data(), W, {grad_values.data(), s.value_columns, 1}, backward.value,
              rows, true);
      product.add_gradient(gradients.value, W, {grad_values.data(), 1, s.value_columns},
                           embedded.data(), W, s.value_columns, W, rows);
    }
    for (long h = 0; h < H; ++h) {
      product(&grad_queries[h * s.head_width], W, {&grad_mapped_queries[h * W], H * W, 1},
              backward.key[h], agents);
      product.add_gradient(gradients.key + h * s.head_width * W, W,
                           {queries + h * s.head_width, 1, W}, &grad_mapped_queries[h * W], H * W,
                           s.head_width, W, agents);
    }
    product.add_gradient(gradients.query, W, {grad_queries.data(), 1, W}, embedded_agents.data(), W,
                         W, W, agents);
    product(grad_embedded_agents.data(), W, {grad_queries.data(), W, 1}, backward.query, agents);
    for (const Frame& f : frames())
      for (long i = 0; i < f.agents * W; i += kLanes)
        at(&grad_embedded[f.first_entity * W + i]) +=
            at(&grad_embedded_agents[f.first_agent * W + i]);
  }

  void backward_embedding(const float* grad_embedded_result) {
    const long W = s.width, rows = taking_part.entities();
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < W; c += kLanes) {
        Vector& x = at(&grad_embedded[row * W + c]);
        if (grad_embedded_result)
          x += at(grad_embedded_result + taking_part.entity_slot(row) * W + c);
        x = at(&embedded[row * W + c]) <= 0.0f ? Vector{} : x;
      }
    add_rows(gradients.embed_bias, grad_embedded.data(), rows, W);
    product.add_gradient(gradients.embed, W, {features.data(), 1, s.features},
                         grad_embedded.data(), W, s.features, W, rows);
  }

  const BackwardWeights& backward;
  Gradients gradients{};
  Array grad_results{s.block_frames * s.attended_rows * s.result_columns};   // as the results
  Array grad_attended{s.block_frames * s.attended_rows * s.attended_columns};  // F,M,A,T or F,M,T
  Array grad_embedded{s.block_frames * s.entities * s.width};                // F,E,W
  Array grad_values{s.pooled ? 0 : s.block_frames * s.entities * s.value_columns};  // F,E,H * V
  Array grad_mapped_queries{s.block_frames * s.agents * s.heads * s.width};  // F,A,H,W
  Array grad_queries{s.block_frames * s.agents * s.width};                   // F,A,H,K
  Array grad_embedded_agents{s.block_frames * s.agents * s.width};           // F,A,W
  // Of one frame:
  Array values_transposed{s.value_columns * s.padded_entities};                 // H * V,P
  Array grad_value_weights{s.attended_rows * s.heads * s.padded_entities};  // M,A,H,P; pooled M,H,P
  Array grad_scores{s.agents * s.heads * s.padded_entities};                    // A,H,P
};

}  // namespace

// Whether products with weights can be computed in bf16 here.
extern "C" bool has_bf16() { return bf16::enable(); }

// Floats per frame that the forward pass saves for the backward pass.
extern "C" int64_t attention_saved_floats(const AttentionSizes* sizes) {
  return Shape(*sizes).saved_floats;
}

// entities [F, E, D], masks [F, M, A, E] -> result [F, attended_rows, O or T]; embedded [F, E, W],
// or null; and what the backward pass uses, saved [F, saved_floats], or null.
extern "C" void attention_forward(const AttentionSizes* sizes, const AttentionWeights* weights,
                                  const float* entities, const bool* masks, float* result,
                                  float* embedded, float* saved) {
  const Shape s(*sizes);
  const ForwardWeights packed(s, *weights);
  const auto compute = [&](AttentionBlock& block, long start, long frames) {
    const bool* block_masks = masks + start * s.masks * s.agents * s.entities;
    block.begin(block_masks, saved ? saved + start * s.saved_floats : nullptr, frames);
    block.embed(entities + start * s.entities * s.features);
    block.compute_queries_and_values();
    block.map_queries();
    for (const Frame& f : block.frames()) {
      block.compute_exp_scores(f);
      block.compute_weights(block_masks + f.index * s.masks * s.agents * s.entities, f);
      block.attend(f);
    }
    block.compute_results(result + start * s.attended_rows * s.result_columns);
    if (embedded) block.store_embedded(embedded + start * s.entities * s.width);
  };
  s.blocks.for_each([&] { return AttentionBlock(s, packed, *weights); }, compute);
}

// Adds to gradients [partial_sums, parameters], where `parameters` counts all weights. `saved` and
// grad_embedded may be null; so may `result`, unless the layer is rectified.
extern "C" void attention_backward(const AttentionSizes* sizes, const AttentionWeights* weights,
                                   const float* entities, const bool* masks, const float* result,
                                   float* saved, const float* grad_result,
                                   const float* grad_embedded, float* gradients,
                                   int64_t parameters) {
  const Shape s(*sizes);
  const ForwardWeights packed(s, *weights);
  const BackwardWeights backward(s, *weights);
  s.blocks.add_gradients(
      gradients, parameters, [&] { return GradientBlock(s, packed, backward, *weights); },
      [&](GradientBlock& block, long start, long frames) {
        block.run(entities + start * s.entities * s.features,
                  masks + start * s.masks * s.agents * s.entities,
                  s.rectified ? result + start * s.attended_rows * s.result_columns : nullptr,
                  saved ? saved + start * s.saved_floats : nullptr,
                  grad_result + start * s.attended_rows * s.result_columns,
                  grad_embedded ? grad_embedded + start * s.entities * s.width : nullptr, frames);
      });
}
