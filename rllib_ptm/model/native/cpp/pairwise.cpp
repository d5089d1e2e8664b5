// Pairwise attention of agents over entities and the gradient of its weights; called by
// pairwise.py.
//
// For each frame, with x_e the features of entity e, agent a, and h a head:
//   terms              u_e = embed x_e + embed_bias, v_a = embed_agent x_a        [E, W], [A, W]
//   pair               y_ae = ReLU(u_e + v_a)                                    [A, E, W]
//   scores             s_ahe = score_h . y_aeh                                   [A, H, E]
//   attention weights  softmax of s over the entities that mask m shows          [M, A, H, E]
//   attended values    weights times y_ae, head by head                          [M, A, W]
//   output             ReLU(output times attended values + bias)                 [M, A, O]
// y_aeh are the K columns of head h. Pairs are never stored: each loop makes them again from the
// terms. All this is computed only for those who take part: see taking_part.h. Blocks of frames,
// threads and sums of gradients: see blocks.h.
//
// Shape legend: see attention_block.h; O columns of the output layer.
#include "blocks.h"
#include "masked_softmax.h"
#include "structs.h"
#include "weight_product.h"

namespace {

struct Shape : PairwiseSizes {
  explicit Shape(const PairwiseSizes& sizes) : PairwiseSizes(sizes) {}
  static constexpr long kEntitiesPerBlock = 192;
  Blocks blocks{frames, kEntitiesPerBlock / entities, partial_sums, threads};
  long block_frames = blocks.size;
  long padded_entities = (entities + kLanes - 1) / kLanes * kLanes;  // the most of P
  long head_width = width / heads;                                   // K
};

// The weights, packed for products.
struct PackedWeights {
  PackedMatrix embed, embed_agent, output, backward_output;

  PackedWeights(const Shape& s, const PairwiseWeights& w)
      : embed({w.embed, 1, s.features}, s.features, s.width, s.use_bf16),
        embed_agent({w.embed_agent, 1, s.features}, s.features, s.width, s.use_bf16),
        output({w.output, 1, s.width}, s.width, s.output, s.use_bf16),
        backward_output({w.output, s.width, 1}, s.output, s.width, s.use_bf16) {}
};

// The stages of the forward pass and their arrays. The backward pass runs the same stages again.
class PairwiseBlock {
 public:
  PairwiseBlock(const Shape& shape, const PackedWeights& packed, const PairwiseWeights& weights)
      : s(shape), packed(packed), w(weights) {
    for (long c = 0; c < s.output; c += kLanes) at(&result_of_nothing[c]) = relu(at(w.bias + c));
  }

  // From masks [F, M, A, E] and features [F, E, D] to the attended values of all frames.
  void attend(const float* entities, const bool* masks, long frames) {
    taking_part.find(masks, frames);
    compute_terms(entities);
    for (const Frame& f : taking_part.frames()) {
      begin_frame(masks, f);
      attend(f);
    }
  }

  // The results [F, M, A, O].
  void compute_results(float* results) {
    const long rows = s.masks * taking_part.agents(), O = s.output;
    product(outputs.data(), O, {attended.data(), s.width, 1}, packed.output, rows);
    const float* computed = outputs.data();
    for_each_result([&](long row, bool takes_part) {
      float* to = results + row * O;
      if (!takes_part) {
        std::memcpy(to, result_of_nothing.data(), 4 * O);
        return;
      }
      for (long c = 0; c < O; c += kLanes) at(to + c) = relu(at(computed + c) + at(w.bias + c));
      computed += O;
    });
  }

  // The terms [F, E, W] and [F, A, W], zero for those that take no part.
  void store_terms(float* entity_terms, float* agent_terms) const {
    const long W = s.width, frames = taking_part.frames().size();
    std::memset(entity_terms, 0, 4 * frames * s.entities * W);
    std::memset(agent_terms, 0, 4 * frames * s.agents * W);
    for_each_term([&](long row, long slot) {
      std::memcpy(entity_terms + slot * W, &of_entity[row * W], 4 * W);
    }, [&](long row, long slot) {
      std::memcpy(agent_terms + slot * W, &of_agent[row * W], 4 * W);
    });
  }

 protected:
  void compute_terms(const float* entities) {
    const long W = s.width, D = s.features, rows = taking_part.entities();
    for (long row = 0; row < rows; ++row)
      std::memcpy(&features[row * D], entities + taking_part.entity_slot(row) * D, 4 * D);
    for (const Frame& f : taking_part.frames())
      std::memcpy(&agent_features[f.first_agent * D], &features[f.first_entity * D],
                  4 * f.agents * D);
    product(of_entity.data(), W, {features.data(), D, 1}, packed.embed, rows);
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < W; c += kLanes) at(&of_entity[row * W + c]) += at(w.embed_bias + c);
    product(of_agent.data(), W, {agent_features.data(), D, 1}, packed.embed_agent,
            taking_part.agents());
  }

  // Computes a frame's exponentials of scores and attention weights, under masks [F, M, A, E].
  void begin_frame(const bool* masks, const Frame& f) {
    transpose(of_entity_transposed.data(), f.padded_entities, &of_entity[f.first_entity * s.width],
              s.width, f.entities, s.width);
    for (long a = 0; a < f.agents; ++a) compute_scores(f, a);
    softmax.exponentiate(exp_scores.data(), f);
    softmax.compute_weights(exp_scores.data(), masks + f.index * s.masks * taking_part.mask_size(),
                            taking_part, f);
  }

  void compute_scores(const Frame& f, long a) {
    const long K = s.head_width, P = f.padded_entities;
    for (long h = 0; h < s.heads; ++h)
      for (long e = 0; e < P; e += kLanes) {
        Vector sum{};
        for (long c = h * K; c < (h + 1) * K; ++c) sum += w.score[c] * pairs_of(f, a, c, e);
        at(&exp_scores[(a * s.heads + h) * P + e]) = sum;
      }
  }

  // The attended values [M, agents, W] of a frame.
  void attend(const Frame& f) {
    const long W = s.width;
    float* to = &attended[s.masks * f.first_agent * W];
    for (long a = 0; a < f.agents; ++a)
      for (long c = 0; c < W; c += kLanes) {
        for (long e = 0; e < f.entities; ++e)
          at(&pairs[e * kLanes]) = relu(sum_of_terms(f, a, e, c));
        for (long m = 0; m < s.masks; ++m) {
          const float* weight = weights_of(m, a, c / s.head_width, f);
          Vector sum{};
          for (long e = 0; e < f.entities; ++e) sum += weight[e] * at(&pairs[e * kLanes]);
          at(to + (m * f.agents + a) * W + c) = sum;
        }
      }
  }

  // Calls visit(row, whether it is computed) for each row of the results [F, M, A].
  template <class Visit>
  void for_each_result(Visit visit) const {
    long row = 0;
    for (const Frame& f : taking_part.frames())
      for (long m = 0; m < s.masks; ++m)
        for (long a = 0; a < s.agents; ++a) visit(row++, taking_part.sees(f.index, a));
  }

  // Calls entity(row, slot in [F, E]) and agent(row, slot in [F, A]) for those who take part.
  template <class Entity, class Agent>
  void for_each_term(Entity entity, Agent agent) const {
    for (long row = 0; row < taking_part.entities(); ++row)
      entity(row, taking_part.entity_slot(row));
    for (const Frame& f : taking_part.frames())
      for (long a = 0; a < f.agents; ++a)
        agent(f.first_agent + a,
              taking_part.entity_slot(f.first_entity + a) - f.index * (s.entities - s.agents));
  }

  // One column of an agent's pairs with a vector of entities.
  Vector pairs_of(const Frame& f, long a, long c, long e) const {
    return relu(at(&of_entity_transposed[c * f.padded_entities + e]) +
                of_agent[(f.first_agent + a) * s.width + c]);
  }
  // A vector of columns of a pair, before the ReLU.
  Vector sum_of_terms(const Frame& f, long a, long e, long c) const {
    return at(&of_entity[(f.first_entity + e) * s.width + c]) +
           at(&of_agent[(f.first_agent + a) * s.width + c]);
  }
  const float* weights_of(long m, long a, long h, const Frame& f) const {
    return softmax.weights() + ((m * f.agents + a) * s.heads + h) * f.padded_entities;
  }

  const Shape& s;
  const PackedWeights& packed;
  const PairwiseWeights& w;
  WeightProduct product{s.use_bf16 != 0};
  TakingPart taking_part{s.masks, s.agents, s.entities};
  MaskedSoftmax softmax{s.masks, s.agents, s.heads, s.padded_entities};
  // All have room for whole frames. Rows of those that take part come first.
  Array features{s.block_frames * s.entities * s.features};          // F,E,D
  Array agent_features{s.block_frames * s.agents * s.features};      // F,A,D
  Array of_entity{s.block_frames * s.entities * s.width};            // F,E,W
  Array of_agent{s.block_frames * s.agents * s.width};               // F,A,W
  Array attended{s.block_frames * s.masks * s.agents * s.width};     // F,M,A,W
  Array outputs{s.block_frames * s.masks * s.agents * s.output};     // F,M,A,O
  Array result_of_nothing{s.output};  // of an agent that sees nothing
  // Of one frame:
  Array of_entity_transposed{s.width * s.padded_entities};  // W,P
  Array exp_scores{s.agents * s.heads * s.padded_entities};  // A,H,P
  Array pairs{std::max(s.padded_entities, s.head_width) * kLanes};  // P or K vectors
};

// The gradients of all weights, one after the other. Those of both terms are transposed: [D, W].
struct Gradients {
  float *embed, *embed_bias, *embed_agent, *score, *output, *bias;

  Gradients() = default;
  Gradients(float* start, const Shape& s)
      : embed(start),
        embed_bias(embed + s.features * s.width),
        embed_agent(embed_bias + s.width),
        score(embed_agent + s.features * s.width),
        output(score + s.width),
        bias(output + s.output * s.width) {}
};

// The backward pass of one block of frames.
class GradientBlock : public PairwiseBlock {
 public:
  using PairwiseBlock::PairwiseBlock;

  // From now on, gradients of the weights are added to `sums` [all weights].
  void add_to(float* sums) { gradients = Gradients(sums, s); }

  // Adds the gradients of one block. The gradients of the terms from their other uses, [F, E, W]
  // and [F, A, W], may be null.
  void run(const float* entities, const bool* masks, const float* result, const float* grad_result,
           const float* grad_entity_terms, const float* grad_agent_terms, long frames) {
    taking_part.find(masks, frames);
    compute_terms(entities);
    backward_output(result, grad_result);
    std::memset(grad_of_entity.data(), 0, 4 * taking_part.entities() * s.width);
    for (const Frame& f : taking_part.frames()) {
      begin_frame(masks, f);
      attend(f);
      for (long a = 0; a < f.agents; ++a) backward_weights(f, a);
      softmax.backward(grad_scores.data(), exp_scores.data(), f, [&](long row) {
        return &grad_weights[row * f.padded_entities];
      });
      for (long a = 0; a < f.agents; ++a) backward_pairs(f, a);
    }
    const long W = s.width, rows = s.masks * taking_part.agents();
    product.add_gradient(gradients.output, W, {grad_outputs.data(), 1, s.output}, attended.data(),
                         W, s.output, W, rows);
    backward_terms(grad_entity_terms, grad_agent_terms);
  }

 private:
  // From the results [F, M, A, O] to the attended values. The bias gets the gradient of all
  // results: without anything to see, the result is ReLU(bias).
  void backward_output(const float* result, const float* grad_result) {
    const long O = s.output;
    float* to = grad_outputs.data();
    for_each_result([&](long row, bool takes_part) {
      for (long c = 0; c < O; c += kLanes) {
        Vector x = at(grad_result + row * O + c);
        x = at(result + row * O + c) <= 0.0f ? Vector{} : x;
        at(gradients.bias + c) += x;
        if (takes_part) at(to + c) = x;
      }
      if (takes_part) to += O;
    });
    product(grad_attended.data(), s.width, {grad_outputs.data(), O, 1}, packed.backward_output,
            s.masks * taking_part.agents());
  }

  // The gradient of an agent's attention weights, [M, agents, H, P].
  void backward_weights(const Frame& f, long a) {
    const long K = s.head_width, P = f.padded_entities;
    for (long h = 0; h < s.heads; ++h)
      for (long e = 0; e < P; e += kLanes) {
        for (long k = 0; k < K; ++k) at(&pairs[k * kLanes]) = pairs_of(f, a, h * K + k, e);
        for (long m = 0; m < s.masks; ++m) {
          const float* grad = grad_attended_of(m, a, f) + h * K;
          Vector sum{};
          for (long k = 0; k < K; ++k) sum += grad[k] * at(&pairs[k * kLanes]);
          at(&grad_weights[((m * f.agents + a) * s.heads + h) * P + e]) = sum;
        }
      }
  }

  // From an agent's attended values and scores to its terms, and the gradient of the score.
  void backward_pairs(const Frame& f, long a) {
    const long W = s.width, P = f.padded_entities;
    for (long c = 0; c < W; c += kLanes) {
      const long h = c / s.head_width;
      const float* grad_score = &grad_scores[(a * s.heads + h) * P];
      const Vector score = at(w.score + c);
      for (long e = 0; e < f.entities; ++e) at(&pairs[e * kLanes]) = grad_score[e] * score;
      for (long m = 0; m < s.masks; ++m) {
        const float* weight = weights_of(m, a, h, f);
        const Vector grad = at(grad_attended_of(m, a, f) + c);
        for (long e = 0; e < f.entities; ++e) at(&pairs[e * kLanes]) += weight[e] * grad;
      }
      Vector of_agent{}, of_score{};
      for (long e = 0; e < f.entities; ++e) {
        const Vector sum = sum_of_terms(f, a, e, c);
        const Vector grad = sum <= 0.0f ? Vector{} : at(&pairs[e * kLanes]);
        at(&grad_of_entity[(f.first_entity + e) * W + c]) += grad;
        of_agent += grad;
        of_score += grad_score[e] * relu(sum);
      }
      at(&grad_of_agent[(f.first_agent + a) * W + c]) = of_agent;
      at(gradients.score + c) += of_score;
    }
  }

  void backward_terms(const float* grad_entity_terms, const float* grad_agent_terms) {
    const long W = s.width, D = s.features;
    const auto add = [&](float* to, const float* from) {
      for (long c = 0; from && c < W; c += kLanes) at(to + c) += at(from + c);
    };
    for_each_term([&](long row, long slot) {
      add(&grad_of_entity[row * W], grad_entity_terms ? grad_entity_terms + slot * W : nullptr);
    }, [&](long row, long slot) {
      add(&grad_of_agent[row * W], grad_agent_terms ? grad_agent_terms + slot * W : nullptr);
    });
    add_rows(gradients.embed_bias, grad_of_entity.data(), taking_part.entities(), W);
    product.add_gradient(gradients.embed, W, {features.data(), 1, D}, grad_of_entity.data(), W, D,
                         W, taking_part.entities());
    product.add_gradient(gradients.embed_agent, W, {agent_features.data(), 1, D},
                         grad_of_agent.data(), W, D, W, taking_part.agents());
  }

  const float* grad_attended_of(long m, long a, const Frame& f) const {
    return &grad_attended[(s.masks * f.first_agent + m * f.agents + a) * s.width];
  }

  Gradients gradients{};
  Array grad_outputs{outputs.size()};      // F,M,A,O
  Array grad_attended{attended.size()};    // F,M,A,W
  Array grad_of_entity{of_entity.size()};  // F,E,W
  Array grad_of_agent{of_agent.size()};    // F,A,W
  // Of one frame:
  Array grad_weights{s.masks * s.agents * s.heads * s.padded_entities};  // M,A,H,P
  Array grad_scores{exp_scores.size()};                                  // A,H,P
};

}  // namespace

// entities [F, E, D], masks [F, M, A, E] -> result [F, M, A, O], and the terms [F, E, W] and
// [F, A, W], or null.
extern "C" void pairwise_forward(const PairwiseSizes* sizes, const PairwiseWeights* weights,
                                 const float* entities, const bool* masks, float* result,
                                 float* entity_terms, float* agent_terms) {
  const Shape s(*sizes);
  const PackedWeights packed(s, *weights);
  const auto compute = [&](PairwiseBlock& block, long start, long frames) {
    const long rows = start * s.masks * s.agents;
    block.attend(entities + start * s.entities * s.features, masks + rows * s.entities, frames);
    block.compute_results(result + rows * s.output);
    if (entity_terms)
      block.store_terms(entity_terms + start * s.entities * s.width,
                        agent_terms + start * s.agents * s.width);
  };
  s.blocks.for_each([&] { return PairwiseBlock(s, packed, *weights); }, compute);
}

// Adds to gradients [partial_sums, parameters], where `parameters` counts all weights. The
// gradients of the terms may be null.
extern "C" void pairwise_backward(const PairwiseSizes* sizes, const PairwiseWeights* weights,
                                  const float* entities, const bool* masks, const float* result,
                                  const float* grad_result, const float* grad_entity_terms,
                                  const float* grad_agent_terms, float* gradients,
                                  int64_t parameters) {
  const Shape s(*sizes);
  const PackedWeights packed(s, *weights);
  s.blocks.add_gradients(
      gradients, parameters, [&] { return GradientBlock(s, packed, *weights); },
      [&](GradientBlock& block, long start, long frames) {
        const long rows = start * s.masks * s.agents;
        block.run(entities + start * s.entities * s.features, masks + rows * s.entities,
                  result + rows * s.output, grad_result + rows * s.output,
                  grad_entity_terms ? grad_entity_terms + start * s.entities * s.width : nullptr,
                  grad_agent_terms ? grad_agent_terms + start * s.agents * s.width : nullptr,
                  frames);
      });
}
