// The structures that Python passes to C++, and a description of their fields.
//
// One macro lists the fields of each structure. The structure and its description both come from
// that list. structs.py declares the same fields for Python and compares the two at load.
#pragma once

#include <cstdint>

// The sizes of an attention layer; see attention_block.h. Shape legend there.
//   head_value    V, columns of one head's value
//   output        O, columns of the output layer; 0 = there is none
//   has_bias      whether a bias is added to the result
//   pooled        whether the attention weights are summed over the agents and no values are used
//   summed        whether the attended values are summed over the heads
//   rectified     whether a ReLU follows the output layer
//   threads       how many threads compute
//   partial_sums  in how many parts gradients are summed
//   use_bf16      whether products with weights round their factors to bf16
#define ATTENTION_SIZES(FIELD) \
  FIELD(int64_t, frames)       \
  FIELD(int64_t, agents)       \
  FIELD(int64_t, entities)     \
  FIELD(int64_t, features)     \
  FIELD(int64_t, masks)        \
  FIELD(int64_t, width)        \
  FIELD(int64_t, heads)        \
  FIELD(int64_t, head_value)   \
  FIELD(int64_t, output)       \
  FIELD(int64_t, has_bias)     \
  FIELD(int64_t, pooled)       \
  FIELD(int64_t, summed)       \
  FIELD(int64_t, rectified)    \
  FIELD(int64_t, threads)      \
  FIELD(int64_t, partial_sums) \
  FIELD(int64_t, use_bf16)

// The weights of an attention layer, each laid out as torch.nn.Linear does: [outputs, inputs]. A
// pooled layer has no values; an output layer and a bias are optional.
#define ATTENTION_WEIGHTS(FIELD)  \
  FIELD(const float*, embed)      \
  FIELD(const float*, embed_bias) \
  FIELD(const float*, query)      \
  FIELD(const float*, key)        \
  FIELD(const float*, value)      \
  FIELD(const float*, output)     \
  FIELD(const float*, bias)

// The sizes of a pairwise attention layer; see pairwise.cpp. The last three are as above.
#define PAIRWISE_SIZES(FIELD)  \
  FIELD(int64_t, frames)       \
  FIELD(int64_t, agents)       \
  FIELD(int64_t, entities)     \
  FIELD(int64_t, features)     \
  FIELD(int64_t, masks)        \
  FIELD(int64_t, width)        \
  FIELD(int64_t, heads)        \
  FIELD(int64_t, output)       \
  FIELD(int64_t, threads)      \
  FIELD(int64_t, partial_sums) \
  FIELD(int64_t, use_bf16)

// The weights of a pairwise attention layer, each laid out as torch.nn.Linear does.
#define PAIRWISE_WEIGHTS(FIELD)   \
  FIELD(const float*, embed)      \
  FIELD(const float*, embed_bias) \
  FIELD(const float*, embed_agent) \
  FIELD(const float*, score)      \
  FIELD(const float*, output)     \
  FIELD(const float*, bias)

// The sizes of matches with pairs; see pair_match.cpp. Shape legend there.
//   entity_of_target  the entity slot of each target
#define PAIR_MATCH_SIZES(FIELD) \
  FIELD(int64_t, frames)        \
  FIELD(int64_t, masks)         \
  FIELD(int64_t, agents)        \
  FIELD(int64_t, entities)      \
  FIELD(int64_t, targets)       \
  FIELD(int64_t, width)         \
  FIELD(int64_t, threads)       \
  FIELD(const int64_t*, entity_of_target)

// The sizes of a GRU over packed frames; see gru.cpp. rows: the rows of each step, never more than
// in the step before.
#define GRU_SIZES(FIELD)       \
  FIELD(int64_t, steps)        \
  FIELD(int64_t, inputs)       \
  FIELD(int64_t, width)        \
  FIELD(int64_t, threads)      \
  FIELD(int64_t, partial_sums) \
  FIELD(int64_t, use_bf16)     \
  FIELD(const int64_t*, rows)

// The weights of a GRU, laid out as torch.nn.GRUCell does: [3H, I], [3H, H], [3H] for the gates r,
// z, n, and [H]: the recurrent bias of n, which the gate r multiplies.
#define GRU_WEIGHTS(FIELD)       \
  FIELD(const float*, inputs)    \
  FIELD(const float*, recurrent) \
  FIELD(const float*, bias)      \
  FIELD(const float*, bias_new)

// The sizes of the entity head; see entity_head.cpp. Shape legend there. The arrays have a number
// for each action.
//   width               W, of an embedded entity
//   hidden              K, width of a hidden state
//   bases_of_actions    the base of its utility
//   kinds_of_actions    its kind; -1 = it aims at nothing
//   targets_of_actions  the entity that it aims at, if any
#define ENTITY_HEAD_SIZES(FIELD)          \
  FIELD(int64_t, frames)                  \
  FIELD(int64_t, masks)                   \
  FIELD(int64_t, agents)                  \
  FIELD(int64_t, entities)                \
  FIELD(int64_t, width)                   \
  FIELD(int64_t, hidden)                  \
  FIELD(int64_t, actions)                 \
  FIELD(int64_t, bases)                   \
  FIELD(int64_t, kinds)                   \
  FIELD(int64_t, threads)                 \
  FIELD(int64_t, partial_sums)            \
  FIELD(const int64_t*, bases_of_actions) \
  FIELD(const int64_t*, kinds_of_actions) \
  FIELD(const int64_t*, targets_of_actions)

// The weights of the entity head: [B, K], [B]; and for each kind the layer that gives a key,
// [I, K + kBiasColumns, W] and [I, K + kBiasColumns]. Of its rows K are the key, one is its bias,
// and the others are zero.
#define ENTITY_HEAD_WEIGHTS(FIELD) \
  FIELD(const float*, base)        \
  FIELD(const float*, base_bias)   \
  FIELD(const float*, key)         \
  FIELD(const float*, key_bias)

#define DECLARE_FIELD(type, name) type name;

struct AttentionSizes {
  ATTENTION_SIZES(DECLARE_FIELD)
};
struct AttentionWeights {
  ATTENTION_WEIGHTS(DECLARE_FIELD)
};
struct PairwiseSizes {
  PAIRWISE_SIZES(DECLARE_FIELD)
};
struct PairwiseWeights {
  PAIRWISE_WEIGHTS(DECLARE_FIELD)
};
struct PairMatchSizes {
  PAIR_MATCH_SIZES(DECLARE_FIELD)
};
struct GRUSizes {
  GRU_SIZES(DECLARE_FIELD)
};
struct GRUWeights {
  GRU_WEIGHTS(DECLARE_FIELD)
};
struct EntityHeadSizes {
  ENTITY_HEAD_SIZES(DECLARE_FIELD)
};
struct EntityHeadWeights {
  ENTITY_HEAD_WEIGHTS(DECLARE_FIELD)
};
