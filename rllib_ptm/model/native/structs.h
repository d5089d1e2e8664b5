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

#define DECLARE_FIELD(type, name) type name;

struct AttentionSizes {
  ATTENTION_SIZES(DECLARE_FIELD)
};
struct AttentionWeights {
  ATTENTION_WEIGHTS(DECLARE_FIELD)
};
struct GRUSizes {
  GRU_SIZES(DECLARE_FIELD)
};
struct GRUWeights {
  GRU_WEIGHTS(DECLARE_FIELD)
};
