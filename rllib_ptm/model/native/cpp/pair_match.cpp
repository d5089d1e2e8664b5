// Matches of queries with pairs of an agent and a target, and their gradient; called by
// pairwise.py.
//
//   match_mat = q_ma . ReLU(u_t + v_a)   if mask m shows target t to agent a, else 0
//
// with the terms u of the entities and v of the agents: see pairwise.cpp. Each thread takes frames.
//
// Shape legend: F frames, M masks, A agents, E entities, T targets, W width of a term.
#include <algorithm>
#include <vector>

#include "structs.h"
#include "vectors.h"

namespace {

// The matches of one frame.
class MatchFrame {
 public:
  explicit MatchFrame(const PairMatchSizes& sizes) : s(sizes) {}

  // Finds the targets that agent a sees under some mask [M, A, E], and their pairs with it.
  void begin_agent(const float* entity_terms, const float* agent_terms, const bool* masks, long a) {
    const long W = s.width;
    seen = 0;
    for (long t = 0; t < s.targets; ++t) {
      bool any = false;
      for (long m = 0; m < s.masks; ++m) any |= sees(masks, m, a, t);
      if (!any) continue;
      const float *u = entity_terms + s.entity_of_target[t] * W, *v = agent_terms + a * W;
      for (long c = 0; c < W; c += kLanes) at(&pairs[seen * W + c]) = relu(at(u + c) + at(v + c));
      target[seen++] = t;
    }
  }

  // matches [M, A, T] of agent a with its queries [M, A, W].
  void compute(const float* queries, const bool* masks, float* matches, long a) {
    const long W = s.width;
    for (long m = 0; m < s.masks; ++m) {
      const long row = m * s.agents + a;
      float* to = matches + row * s.targets;
      std::fill(to, to + s.targets, 0.0f);
      lane_sums(sums.data(), seen, [&](long i) {
        Vector sum{};
        for (long c = 0; c < W; c += kLanes)
          sum += at(queries + row * W + c) * at(&pairs[i * W + c]);
        return sum;
      });
      for (long i = 0; i < seen; ++i)
        if (sees(masks, m, a, target[i])) to[target[i]] = sums[i];
    }
  }

  // Writes grad_queries [M, A, W] and grad_agent_terms [A, W] of agent a. Adds to grad_entity_terms
  // [E, W].
  void backward(const float* queries, const bool* masks, const float* grad_matches,
                float* grad_queries, float* grad_entity_terms, float* grad_agent_terms, long a) {
    const long W = s.width;
    for (long c = 0; c < W; c += kLanes) {
      Vector of_agent{};
      for (long i = 0; i < seen; ++i) at(&grad_pairs[i * kLanes]) = Vector{};
      for (long m = 0; m < s.masks; ++m) {
        const long row = m * s.agents + a;
        const Vector query = at(queries + row * W + c);
        Vector grad_query{};
        for (long i = 0; i < seen; ++i) {
          if (!sees(masks, m, a, target[i])) continue;
          const float grad = grad_matches[row * s.targets + target[i]];
          grad_query += grad * at(&pairs[i * W + c]);
          at(&grad_pairs[i * kLanes]) += grad * query;
        }
        at(grad_queries + row * W + c) = grad_query;
      }
      for (long i = 0; i < seen; ++i) {
        const Vector grad = at(&pairs[i * W + c]) <= 0.0f ? Vector{} : at(&grad_pairs[i * kLanes]);
        at(grad_entity_terms + s.entity_of_target[target[i]] * W + c) += grad;
        of_agent += grad;
      }
      at(grad_agent_terms + a * W + c) = of_agent;
    }
  }

 private:
  bool sees(const bool* masks, long m, long a, long t) const {
    return masks[(m * s.agents + a) * s.entities + s.entity_of_target[t]];
  }

  const PairMatchSizes& s;
  // Of one agent:
  long seen = 0;                                            // S, targets
  std::vector<long> target = std::vector<long>(s.targets);  // S
  Array pairs{s.targets * s.width};                         // S,W
  Array grad_pairs{s.targets * kLanes};                     // S and a vector of columns
  Array sums{s.targets + kLanes};                           // S
};

// Calls visit(frame, number of the frame, its masks, agent) for every agent, whose pairs are ready.
template <class Visit>
void for_each_agent(const PairMatchSizes& s, const float* entity_terms, const float* agent_terms,
                    const bool* masks, Visit visit) {
#pragma omp parallel num_threads(s.threads)
  {
    MatchFrame frame(s);
#pragma omp for
    for (long f = 0; f < s.frames; ++f) {
      const bool* seen = masks + f * s.masks * s.agents * s.entities;
      for (long a = 0; a < s.agents; ++a) {
        frame.begin_agent(entity_terms + f * s.entities * s.width,
                          agent_terms + f * s.agents * s.width, seen, a);
        visit(frame, f, seen, a);
      }
    }
  }
}

}  // namespace

// queries [F, M, A, W], entity_terms [F, E, W], agent_terms [F, A, W], masks [F, M, A, E] ->
// matches [F, M, A, T].
extern "C" void pair_match_forward(const PairMatchSizes* sizes, const float* queries,
                                   const float* entity_terms, const float* agent_terms,
                                   const bool* masks, float* matches) {
  const PairMatchSizes& s = *sizes;
  const long rows = s.masks * s.agents;
  for_each_agent(s, entity_terms, agent_terms, masks,
                 [&](MatchFrame& frame, long f, const bool* seen, long a) {
                   frame.compute(queries + f * rows * s.width, seen,
                                 matches + f * rows * s.targets, a);
                 });
}

// Overwrites grad_queries and grad_agent_terms. Adds to grad_entity_terms.
extern "C" void pair_match_backward(const PairMatchSizes* sizes, const float* queries,
                                    const float* entity_terms, const float* agent_terms,
                                    const bool* masks, const float* grad_matches,
                                    float* grad_queries, float* grad_entity_terms,
                                    float* grad_agent_terms) {
  const PairMatchSizes& s = *sizes;
  const long rows = s.masks * s.agents, W = s.width;
  for_each_agent(s, entity_terms, agent_terms, masks,
                 [&](MatchFrame& frame, long f, const bool* seen, long a) {
                   frame.backward(queries + f * rows * W, seen, grad_matches + f * rows * s.targets,
                                  grad_queries + f * rows * W,
                                  grad_entity_terms + f * s.entities * W,
                                  grad_agent_terms + f * s.agents * W, a);
                 });
}
