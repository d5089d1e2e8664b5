// Softmax of scores over the entities that agents see, of one frame and under several masks.
//
// Shape legend: see attention_block.h. Agents and entities are those of the frame that take part.
#pragma once

#include "taking_part.h"

class MaskedSoftmax {
 public:
  MaskedSoftmax(long masks, long agents, long heads, long padded_entities)
      : M(masks),
        H(heads),
        mask_bytes(padded_entities),
        weights_(masks * agents * heads * padded_entities),
        sums(masks * agents * heads + kLanes) {}

  // Replaces scores [agents, H, P] by their exponentials, less the agent's score of itself. The
  // shift does not change the softmax, is the same under every mask, and keeps the exponentials
  // finite.
  void exponentiate(float* scores, const Frame& f) const {
    const long P = f.padded_entities, rows = f.agents * H;
    for (long row = 0; row < rows; ++row) {
      float* score = scores + row * P;
      const float own_score = score[row / H];
      for (long e = 0; e < P; e += kLanes)
        at(score + e) = exponential(clamp(at(score + e) - own_score, -kReach, kReach));
    }
  }

  // Computes weights() [M, agents, H, P] under masks [M, A, E]: the exponentials of visible
  // entities, divided by their sum. An agent that sees nothing gets zeros.
  void compute_weights(const float* exp_scores, const bool* masks, const TakingPart& taking_part,
                       const Frame& f) {
    const long P = f.padded_entities, rows = M * f.agents * H;
    mask_exp_scores(exp_scores, masks, taking_part, f);
    lane_sums(sums.data(), rows, [&](long row) { return sum_of_vectors(&weights_[row * P], P); });
    for (long row = 0; row < rows; row += kLanes) {
      const Vector sum = at(&sums[row]);
      at(&sums[row]) = sum == 0.0f ? Vector{} : 1.0f / sum;
    }
    for (long row = 0; row < rows; ++row)
      for (long e = 0; e < P; e += kLanes) at(&weights_[row * P + e]) *= sums[row];
  }

  // grad_scores [agents, H, P] = p (g - sum(p g)) with weights p and their gradient g, summed over
  // the masks. Clamped scores get no gradient. grad_of(row) is the gradient [P] of a row of the
  // weights [M, agents, H].
  template <class GradOf>
  void backward(float* grad_scores, const float* exp_scores, const Frame& f, GradOf grad_of) {
    const long P = f.padded_entities;
    const long mask_rows = f.agents * H, rows = M * mask_rows;
    std::memset(grad_scores, 0, 4 * mask_rows * P);
    lane_sums(sums.data(), rows, [&](long row) {
      const float *weight = &weights_[row * P], *grad = grad_of(row);
      Vector sum{};
      for (long e = 0; e < P; e += kLanes) sum += at(weight + e) * at(grad + e);
      return sum;
    });
    for (long row = 0; row < rows; ++row) {
      const float *weight = &weights_[row * P], *grad = grad_of(row);
      float* grad_score = grad_scores + row % mask_rows * P;
      for (long e = 0; e < P; e += kLanes)
        at(grad_score + e) += at(weight + e) * (at(grad + e) - sums[row]);
    }
    const Vector highest = exponential(Vector{} + kReach), lowest = exponential(Vector{} - kReach);
    for (long i = 0; i < mask_rows * P; i += kLanes) {
      Vector& x = at(grad_scores + i);
      x = at(exp_scores + i) >= highest ? Vector{} : x;
      x = at(exp_scores + i) <= lowest ? Vector{} : x;
    }
  }

  const float* weights() const { return weights_.data(); }

 private:
  // Scores are clamped to this distance from the agent's own score, as in model/attention/dot_product.py.
  static constexpr float kReach = 80.0f;

  // weights [M, agents, H, P] = the exponentials [agents, H, P] where the mask is true, else 0.
  void mask_exp_scores(const float* exp_scores, const bool* masks, const TakingPart& taking_part,
                       const Frame& f) {
    const long P = f.padded_entities, agent_scores = H * P;
    for (long m = 0, row = 0; m < M; ++m)
      for (long a = 0; a < f.agents; ++a, ++row) {
        taking_part.copy_mask(mask_bytes.data(), masks + m * taking_part.mask_size(), f, a);
        const float* from = exp_scores + a * agent_scores;
        float* to = &weights_[row * agent_scores];
        for (long e = 0; e < P; e += kLanes) {
          const Vector visible = __builtin_convertvector(
              *reinterpret_cast<const ByteVector*>(&mask_bytes[e]), Vector);
          for (long h = e; h < agent_scores; h += P) at(to + h) = at(from + h) * visible;
        }
      }
  }

  // The sum of the vectors of a row [P].
  static Vector sum_of_vectors(const float* row, long P) {
    Vector sum = at(row);
    for (long e = kLanes; e < P; e += kLanes) sum += at(row + e);
    return sum;
  }

  long M, H;
  std::vector<char> mask_bytes;  // P, of one agent
  Array weights_;                // M,A,H,P
  Array sums;                    // M,A,H: sums of exponentials, then 1 / sums
};
