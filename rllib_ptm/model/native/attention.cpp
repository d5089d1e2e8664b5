// Attention of agents over entities with its gradient; called by attention.py.
//
// Each thread takes blocks of frames and goes through all stages with one before it takes the
// next, so that hardly more than inputs, results and their gradients leaves the cache. Forward, the
// next block is for whoever is free; on the way back, the next part is: gradients are summed over
// the blocks of a part, the same ones in every run, and then over the parts. There a thread does
// the way forward again, but for what takes longer to compute than to read.
// Shapes: see attention_block.h.
#include <omp.h>

#include "attention_block.h"

namespace {

// Gradients of all weights, one behind the other; that of the embedding is transposed, [D, W].
struct Gradients {
  float *embed, *embed_bias, *query, *key, *value, *output, *bias;

  Gradients() = default;
  Gradients(float* place, const Shape& s) {
    const auto next = [&](long size) {
      float* here = place;
      place += size;
      return here;
    };
    embed = next(s.features * s.width);
    embed_bias = next(s.width);
    query = next(s.width * s.width);
    key = next(s.width * s.width);
    value = next(s.pooled ? 0 : s.values * s.width);
    output = next(s.output * s.taken);
    bias = next(s.biased ? s.results : 0);
  }
};

// The weights as the products of the way back need them.
struct BackFactors {
  Factor query, value, output;
  std::vector<Factor> key;

  BackFactors(const Shape& s, const Weights& w)
      : query({w.query, s.width, 1}, s.width, s.width, s.narrow),
        value({w.value, s.width, 1}, s.pooled ? 0 : s.values, s.width, s.narrow),
        output({w.output, s.taken, 1}, s.output, s.taken, s.narrow) {
    for (long h = 0; h < s.heads; ++h)
      key.emplace_back(Matrix{w.key + h * s.key * s.width, 1, s.width}, s.width, s.key, s.narrow);
  }
};

void add_rows(float* sum, const float* x, long rows, long columns) {
  for (long r = 0; r < rows; ++r)
    for (long c = 0; c < columns; c += kLanes) at(sum + c) += at(x + r * columns + c);
}

class GradientBlock : public AttentionBlock {
 public:
  GradientBlock(const Shape& shape, const Factors& factors, const BackFactors& back,
                const Weights& weights)
      : AttentionBlock(shape, factors, weights), back(back) {}

  // Where the gradients of the weights are summed from now on.
  void sum_at(float* place) { to = Gradients(place, s); }

  // Kept may be null; grad_embedded is where nobody else read the embedded entities.
  void run(const float* entities, const bool* masks, const float* result, float* kept,
           const float* grad_result, const float* grad_embedded, long frames) {
    begin(kept, frames);
    embed(entities, frames);
    if (!kept) project(frames);
    map_back(frames);
    for (long f = 0; !kept && f < frames; ++f) score(f);
    const float* grad_taken = s.output ? through_output(result, grad_result, frames) : grad_result;
    if (s.biased)
      add_rows(to.bias, s.output ? of_output.data() : grad_result, frames * s.rows, s.results);
    for (long f = 0; f < frames; ++f) {
      weigh(masks + f * s.masks * s.agents * s.entities, f);
      if (s.output) take(f, &taken[f * s.rows * s.taken]);
      through_weights(grad_taken + f * s.rows * s.taken, f);
    }
    if (s.output)
      large.gradient(to.output, s.taken, {of_output.data(), 1, s.output}, taken.data(), s.taken,
                     s.output, s.taken, frames * s.rows);
    through_values_and_scores(frames);
    through_embedding(entities, grad_embedded, frames);
  }

 private:
  // -> the gradient of what was taken, [F * rows, T].
  const float* through_output(const float* result, const float* grad_result, long frames) {
    const long rows = frames * s.rows, O = s.output;
    for (long i = 0; i < rows * O; i += kLanes) {
      const Vector x = at(grad_result + i);
      at(&of_output[i]) = s.rectified ? (at(result + i) <= 0.0f ? Vector{} : x) : x;
    }
    large(of_taken.data(), s.taken, {of_output.data(), O, 1}, back.output, rows);
    return of_taken.data();
  }

  // Of frame f, from what was taken to values (or embedded entities), mapped queries and entities.
  void through_weights(const float* grad_taken, long f) {
    const long W = s.width, P = s.places, E = s.entities, rows = s.agents * s.heads;
    float* of_entities = &of_embedded[f * E * W];
    if (s.pooled) lay_across(f);
    else transpose(values_t.data(), P, values_of(f), s.values, E, s.values);
    const float* across = s.pooled ? embedded_t.data() : values_t.data();
    float* of_values_here = s.pooled ? of_entities : &of_values[f * E * s.values];
    for (long h = 0; h < s.products; ++h) {
      const float* of_head = grad_taken + h * s.next_taken;
      product(&of_used[h * P], s.next_used, {of_head, s.next_row, 1}, across + h * s.value * P, P,
              s.product_rows, P, s.value);
      product(of_values_here + h * s.value, s.values, {used() + h * P, 1, s.next_used}, of_head,
              s.next_row, E, s.value, s.product_rows);
    }
    through_softmax(scores + f * rows * P);
    product(of_entities, W, {of_scores.data(), 1, P}, &mapped[f * rows * W], W, E, W, rows,
            s.pooled);
    product(&of_mapped[f * rows * W], W, {of_scores.data(), P, 1}, &embedded[f * E * W], W, rows,
            W, E);
  }

  // p (g - Σ p g), summed over the masks; nothing for scores that were out of reach.
  void through_softmax(const float* scores) {
    const long P = s.places;
    std::memset(of_scores.data(), 0, 4 * of_scores.size());
    const long of_mask = s.agents * s.heads, rows = s.masks * of_mask;
    sums_of(sums.data(), rows, [&](long row) {
      const float *weight = &weights[row * P], *grad = &of_used[used_row[row] * P];
      Vector sum{};
      for (long e = 0; e < P; e += kLanes) sum += at(weight + e) * at(grad + e);
      return sum;
    });
    for (long row = 0; row < rows; ++row) {
      const float *weight = &weights[row * P], *grad = &of_used[used_row[row] * P];
      float* of_score = &of_scores[row % of_mask * P];
      for (long e = 0; e < P; e += kLanes)
        at(of_score + e) += at(weight + e) * (at(grad + e) - sums[row]);
    }
    const Vector highest = exponential(Vector{} + kReach), lowest = exponential(Vector{} - kReach);
    for (long i = 0; i < of_scores.size(); i += kLanes) {
      Vector& x = at(&of_scores[i]);
      x = at(scores + i) >= highest ? Vector{} : x;
      x = at(scores + i) <= lowest ? Vector{} : x;
    }
  }

  void through_values_and_scores(long frames) {
    const long W = s.width, H = s.heads, rows = frames * s.entities, agents = frames * s.agents;
    if (!s.pooled) {
      large(of_embedded.data(), W, {of_values.data(), s.values, 1}, back.value, rows, true);
      large.gradient(to.value, W, {of_values.data(), 1, s.values}, embedded.data(), W, s.values, W,
                     rows);
    }
    for (long h = 0; h < H; ++h) {
      large(&of_queries[h * s.key], W, {&of_mapped[h * W], H * W, 1}, back.key[h], agents);
      large.gradient(to.key + h * s.key * W, W, {queries + h * s.key, 1, W}, &of_mapped[h * W],
                     H * W, s.key, W, agents);
    }
    large.gradient(to.query, W, {of_queries.data(), 1, W}, team.data(), W, W, W, agents);
    large(of_team.data(), W, {of_queries.data(), W, 1}, back.query, agents);
    for (long f = 0; f < frames; ++f)
      for (long i = 0; i < s.agents * W; i += kLanes)
        at(&of_embedded[f * s.entities * W + i]) += at(&of_team[f * s.agents * W + i]);
  }

  void through_embedding(const float* entities, const float* grad_embedded, long frames) {
    const long W = s.width, rows = frames * s.entities;
    for (long i = 0; i < rows * W; i += kLanes) {
      Vector& x = at(&of_embedded[i]);
      if (grad_embedded) x += at(grad_embedded + i);
      x = at(&embedded[i]) <= 0.0f ? Vector{} : x;
    }
    add_rows(to.embed_bias, of_embedded.data(), rows, W);
    large.gradient(to.embed, W, {entities, 1, s.features}, of_embedded.data(), W, s.features, W,
                   rows);
  }

  const BackFactors& back;
  Gradients to{};
  Array of_output{s.block * s.rows * s.output}, of_taken{s.block * s.rows * s.taken};
  Array of_embedded{s.block * s.entities * s.width};
  Array of_values{s.pooled ? 0 : s.block * s.entities * s.values};
  Array of_mapped{s.block * s.agents * s.heads * s.width};
  Array of_queries{s.block * s.agents * s.width}, of_team{s.block * s.agents * s.width};
  // Of one frame:
  Array values_t{s.values * s.places};            // H * V,P
  Array of_used{s.rows * s.heads * s.places};     // M,A,H,P, or M,H,P of the pooled
  Array of_scores{s.agents * s.heads * s.places};  // A,H,P
};

}  // namespace

extern "C" bool has_bf16() { return bf16::allowed(); }

// Floats of a frame that are kept.
extern "C" int64_t attention_kept(const Sizes* sizes) { return Shape(*sizes).kept; }

// entities [F, E, D], masks [F, M, A, E] -> result [F, rows, O or T], embedded [F, E, W] or null,
// and what the way back takes from here [F, kept], or null.
extern "C" void attention_forward(const Sizes* sizes, const Weights* weights,
                                  const float* entities, const bool* masks, float* result,
                                  float* embedded, float* kept) {
  const Shape s(*sizes);
  const Factors factors(s, *weights);
#pragma omp parallel num_threads(s.threads)
  {
    AttentionBlock block(s, factors, *weights);
#pragma omp for schedule(dynamic)
    for (long start = 0; start < s.frames; start += s.block) {
      const long frames = std::min<long>(s.block, s.frames - start);
      float* to = result + start * s.rows * s.results;
      float* taken = s.output ? block.taken.data() : to;
      block.begin(kept ? kept + start * s.kept : nullptr, frames);
      block.embed(entities + start * s.entities * s.features, frames);
      block.project(frames);
      block.map_back(frames);
      for (long f = 0; f < frames; ++f) {
        block.score(f);
        block.weigh(masks + (start + f) * s.masks * s.agents * s.entities, f);
        block.take(f, taken + f * s.rows * s.taken);
      }
      block.finish(to, frames);
      if (embedded)
        std::memcpy(embedded + start * s.entities * s.width, block.embedded.data(),
                    4 * frames * s.entities * s.width);
    }
  }
}

// Adds to gradients [parts, all weights]; kept and grad_embedded may be null, and the result where
// it is not rectified.
extern "C" void attention_backward(const Sizes* sizes, const Weights* weights,
                                   const float* entities, const bool* masks, const float* result,
                                   float* kept, const float* grad_result,
                                   const float* grad_embedded, float* gradients,
                                   int64_t parameters) {
  const Shape s(*sizes);
  const Factors factors(s, *weights);
  const BackFactors back(s, *weights);
#pragma omp parallel num_threads(s.threads)
  {
    GradientBlock block(s, factors, back, *weights);
#pragma omp for schedule(dynamic)
    for (long part = 0; part < s.parts; ++part) {
      block.sum_at(gradients + part * parameters);
      for (long start = part * s.block; start < s.frames; start += s.parts * s.block) {
        const long frames = std::min<long>(s.block, s.frames - start);
        block.run(entities + start * s.entities * s.features,
                  masks + start * s.masks * s.agents * s.entities,
                  s.rectified ? result + start * s.rows * s.results : nullptr,
                  kept ? kept + start * s.kept : nullptr, grad_result + start * s.rows * s.results,
                  grad_embedded ? grad_embedded + start * s.entities * s.width : nullptr, frames);
      }
    }
  }
}
