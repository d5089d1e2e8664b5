// Attention of agents over entities and the gradient of its weights; called by attention.py.
//
// attention_block.h has the equations and the shape legend. Each thread takes a block of frames
// through all stages before it takes the next block, so that only inputs, results and their
// gradients leave the cache. The backward pass computes the stages of the forward pass again,
// except those that were saved. It sums gradients in `partial_sums` parts. A part always gets the
// same blocks, so that the result does not depend on which thread computes it.
#include <omp.h>

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

// sum [columns] += the rows of x [rows, columns].
void add_rows(float* sum, const float* x, long rows, long columns) {
  for (long r = 0; r < rows; ++r)
    for (long c = 0; c < columns; c += kLanes) at(sum + c) += at(x + r * columns + c);
}

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
           const float* grad_result, const float* grad_embedded_result, long frames) {
    begin(saved, frames);
    embed(entities, frames);
    if (!saved) compute_queries_and_values(frames);
    map_queries(frames);
    for (long f = 0; !saved && f < frames; ++f) compute_exp_scores(f);
    const float* grad_attended_values =
        s.output ? backward_output(result, grad_result, frames) : grad_result;
    if (s.has_bias)
      add_rows(gradients.bias, s.output ? grad_output.data() : grad_result,
               frames * s.attended_rows, s.result_columns);
    for (long f = 0; f < frames; ++f) {
      compute_weights(masks + f * s.masks * s.agents * s.entities, f);
      if (s.output) attend(f, &attended[f * s.attended_rows * s.attended_columns]);
      backward_attention(grad_attended_values + f * s.attended_rows * s.attended_columns, f);
    }
    if (s.output)
      product.add_gradient(gradients.output, s.attended_columns, {grad_output.data(), 1, s.output},
                           attended.data(), s.attended_columns, s.output, s.attended_columns,
                           frames * s.attended_rows);
    backward_values_and_queries(frames);
    backward_embedding(entities, grad_embedded_result, frames);
  }

 private:
  // Through the output layer -> the gradient of the attended values, [F * attended_rows, T].
  const float* backward_output(const float* result, const float* grad_result, long frames) {
    const long rows = frames * s.attended_rows, O = s.output;
    for (long i = 0; i < rows * O; i += kLanes) {
      const Vector x = at(grad_result + i);
      at(&grad_output[i]) = s.rectified ? (at(result + i) <= 0.0f ? Vector{} : x) : x;
    }
    product(grad_attended.data(), s.attended_columns, {grad_output.data(), O, 1}, backward.output,
            rows);
    return grad_attended.data();
  }

  // In frame f, from the attended values to the values (pooled: the embedded entities), and through
  // the scores to the embedded entities and the mapped queries.
  void backward_attention(const float* grad_attended_values, long f) {
    const long W = s.width, P = s.padded_entities, E = s.entities, rows = s.agents * s.heads;
    float* grad_entities = &grad_embedded[f * E * W];
    if (s.pooled) transpose_embedded(f);
    else
      transpose(values_transposed.data(), P, frame_values(f), s.value_columns, E, s.value_columns);
    const float* transposed = s.pooled ? embedded_transposed.data() : values_transposed.data();
    float* grad_frame_values = s.pooled ? grad_entities : &grad_values[f * E * s.value_columns];
    for (long h = 0; h < s.num_products; ++h) {
      const float* grad_head = grad_attended_values + h * s.attended_head_stride;
      multiply(&grad_value_weights[h * P], s.weights_stride, {grad_head, s.attended_stride, 1},
               transposed + h * s.head_value * P, P, s.product_rows, P, s.head_value);
      multiply(grad_frame_values + h * s.head_value, s.value_columns,
               {value_weights() + h * P, 1, s.weights_stride}, grad_head, s.attended_stride, E,
               s.head_value, s.product_rows);
    }
    backward_softmax(exp_scores + f * rows * P);
    multiply(grad_entities, W, {grad_scores.data(), 1, P}, &mapped_queries[f * rows * W], W, E, W,
             rows, s.pooled);
    multiply(&grad_mapped_queries[f * rows * W], W, {grad_scores.data(), P, 1},
             &embedded[f * E * W], W, rows, W, E);
  }

  // The gradient of the scores, p (g - sum(p g)) with weights p and their gradient g, summed over
  // the masks. Clamped scores get no gradient.
  void backward_softmax(const float* exponentials) {
    const long P = s.padded_entities;
    std::memset(grad_scores.data(), 0, 4 * grad_scores.size());
    const long mask_rows = s.agents * s.heads, rows = s.masks * mask_rows;
    lane_sums(sums.data(), rows, [&](long row) {
      const float* weight = &weights[row * P];
      const float* grad = &grad_value_weights[value_weight_row[row] * P];
      Vector sum{};
      for (long e = 0; e < P; e += kLanes) sum += at(weight + e) * at(grad + e);
      return sum;
    });
    for (long row = 0; row < rows; ++row) {
      const float* weight = &weights[row * P];
      const float* grad = &grad_value_weights[value_weight_row[row] * P];
      float* grad_score = &grad_scores[row % mask_rows * P];
      for (long e = 0; e < P; e += kLanes)
        at(grad_score + e) += at(weight + e) * (at(grad + e) - sums[row]);
    }
    const Vector highest = exponential(Vector{} + kReach), lowest = exponential(Vector{} - kReach);
    for (long i = 0; i < grad_scores.size(); i += kLanes) {
      Vector& x = at(&grad_scores[i]);
      x = at(exponentials + i) >= highest ? Vector{} : x;
      x = at(exponentials + i) <= lowest ? Vector{} : x;
    }
  }

  // Through the layers of values, keys and queries to the embedded entities.
  void backward_values_and_queries(long frames) {
    const long W = s.width, H = s.heads, rows = frames * s.entities, agents = frames * s.agents;
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
    for (long f = 0; f < frames; ++f)
      for (long i = 0; i < s.agents * W; i += kLanes)
        at(&grad_embedded[f * s.entities * W + i]) +=
            at(&grad_embedded_agents[f * s.agents * W + i]);
  }

  void backward_embedding(const float* entities, const float* grad_embedded_result, long frames) {
    const long W = s.width, rows = frames * s.entities;
    for (long i = 0; i < rows * W; i += kLanes) {
      Vector& x = at(&grad_embedded[i]);
      if (grad_embedded_result) x += at(grad_embedded_result + i);
      x = at(&embedded[i]) <= 0.0f ? Vector{} : x;
    }
    add_rows(gradients.embed_bias, grad_embedded.data(), rows, W);
    product.add_gradient(gradients.embed, W, {entities, 1, s.features}, grad_embedded.data(), W,
                         s.features, W, rows);
  }

  const BackwardWeights& backward;
  Gradients gradients{};
  Array grad_output{s.block_frames * s.attended_rows * s.output};            // F,M,A,O or F,M,O
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
#pragma omp parallel num_threads(s.threads)
  {
    AttentionBlock block(s, packed, *weights);
#pragma omp for schedule(dynamic)
    for (long start = 0; start < s.frames; start += s.block_frames) {
      const long frames = std::min<long>(s.block_frames, s.frames - start);
      float* block_result = result + start * s.attended_rows * s.result_columns;
      float* attended = s.output ? block.attended.data() : block_result;
      block.begin(saved ? saved + start * s.saved_floats : nullptr, frames);
      block.embed(entities + start * s.entities * s.features, frames);
      block.compute_queries_and_values(frames);
      block.map_queries(frames);
      for (long f = 0; f < frames; ++f) {
        block.compute_exp_scores(f);
        block.compute_weights(masks + (start + f) * s.masks * s.agents * s.entities, f);
        block.attend(f, attended + f * s.attended_rows * s.attended_columns);
      }
      block.compute_results(block_result, frames);
      if (embedded)
        std::memcpy(embedded + start * s.entities * s.width, block.embedded.data(),
                    4 * frames * s.entities * s.width);
    }
  }
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
#pragma omp parallel num_threads(s.threads)
  {
    GradientBlock block(s, packed, backward, *weights);
#pragma omp for schedule(dynamic)
    for (long part = 0; part < s.partial_sums; ++part) {
      block.add_to(gradients + part * parameters);
      for (long start = part * s.block_frames; start < s.frames;
           start += s.partial_sums * s.block_frames) {
        const long frames = std::min<long>(s.block_frames, s.frames - start);
        block.run(entities + start * s.entities * s.features,
                  masks + start * s.masks * s.agents * s.entities,
                  s.rectified ? result + start * s.attended_rows * s.result_columns : nullptr,
                  saved ? saved + start * s.saved_floats : nullptr,
                  grad_result + start * s.attended_rows * s.result_columns,
                  grad_embedded ? grad_embedded + start * s.entities * s.width : nullptr, frames);
      }
    }
  }
}
