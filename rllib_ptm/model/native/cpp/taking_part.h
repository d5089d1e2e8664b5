// Who takes part in the frames of a block.
//
// Units may be far away or dead, and small teams leave slots empty. An agent that sees nothing has
// a constant result, and an entity that nobody sees has no effect. The others take part: the agents
// that see an entity under some mask, these agents as entities, and the entities that are seen.
// Agents and entities have consecutive rows in the arrays of a block.
//
// Shape legend: see attention_block.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

// Those who take part in a frame, by their rows in the block. The first entities are the agents.
struct Frame {
  long index;  // of the frame in the block
  long first_agent, agents;
  long first_entity, entities;
  long padded_entities;  // rounded up to whole vectors
};

class TakingPart {
 public:
  TakingPart(long masks, long agents, long entities) : M(masks), A(agents), E(entities), seen(E) {}

  // Finds them by the masks [F, M, A, E].
  void find(const bool* masks, long frames) {
    frames_.clear();
    entity_slots.clear();
    sees_.assign(frames * A, false);
    num_agents = 0;
    for (long f = 0; f < frames; ++f) {
      char* sees = &sees_[f * A];
      find_who_sees(sees, masks + f * M * A * E);
      const long first = entities();
      for (long a = 0; a < A; ++a)
        if (sees[a]) entity_slots.push_back(f * E + a);
      const long agents_here = entities() - first;
      for (long e = 0; e < E; ++e)
        if (seen[e] && !(e < A && sees[e])) entity_slots.push_back(f * E + e);
      const long entities_here = entities() - first;
      frames_.push_back({f, num_agents, agents_here, first, entities_here,
                         (entities_here + kLanes - 1) / kLanes * kLanes});
      num_agents += agents_here;
    }
  }

  const std::vector<Frame>& frames() const { return frames_; }
  // How many take part in the block.
  long agents() const { return num_agents; }
  long entities() const { return long(entity_slots.size()); }
  // Booleans of one mask, A * E.
  long mask_size() const { return A * E; }
  // The slot of an entity in [F, E], by its row.
  long entity_slot(long row) const { return entity_slots[row]; }
  // Whether the agent in this slot takes part in a frame.
  bool sees(long frame, long agent) const { return sees_[frame * A + agent]; }

  // to [P of the frame] = what its agent number `agent` sees under one mask [A, E].
  void copy_mask(char* to, const bool* mask, const Frame& f, long agent) const {
    const long* slots = &entity_slots[f.first_entity];
    const bool* row = mask + (slots[agent] - f.index * E) * E;
    if (f.agents == A && f.entities == E) std::memcpy(to, row, E);  // all, in the order of slots
    else
      for (long e = 0; e < f.entities; ++e) to[e] = row[slots[e] - f.index * E];
    std::fill(to + f.entities, to + f.padded_entities, 0);
  }

 private:
  // sees [A], seen [E] of one frame; eight masks at a time.
  void find_who_sees(char* sees, const bool* masks) {
    std::fill(seen.begin(), seen.end(), 0);
    for (long m = 0; m < M; ++m)
      for (long a = 0; a < A; ++a, masks += E) {
        uint64_t any = 0;
        const auto read = [&](long first, long count) {
          uint64_t here = 0, so_far = 0;
          std::memcpy(&here, masks + first, count);
          std::memcpy(&so_far, &seen[first], count);
          so_far |= here;
          std::memcpy(&seen[first], &so_far, count);
          any |= here;
        };
        for (long e = 0; e + 8 <= E; e += 8) read(e, 8);
        if (E % 8 && E > 8) read(E - 8, 8);  // the last eight; some are read again
        if (E < 8) read(0, E);
        if (any) sees[a] = 1;
      }
  }

  long M, A, E;
  std::vector<char> seen;   // E, of one frame
  std::vector<char> sees_;  // F,A
  std::vector<Frame> frames_;
  std::vector<long> entity_slots;
  long num_agents = 0;
};
