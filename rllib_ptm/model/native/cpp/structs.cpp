// Describes the structures of structs.h to Python: the name, offset and size of every field.
#include "structs.h"

#include <cstddef>

// One field. The last entry of a description has no name; its size is that of the structure.
struct FieldDescription {
  const char* name;
  int64_t offset, size;
};

#define DESCRIBE_FIELD(type, name) {#name, offsetof(Described, name), sizeof(type)},

// Defines the function `Struct_fields`, which returns the description of `Struct`.
#define DESCRIBE_STRUCT(Struct, FIELDS)                          \
  extern "C" const FieldDescription* Struct##_fields() {         \
    using Described = Struct;                                    \
    static const FieldDescription fields[] = {                   \
        FIELDS(DESCRIBE_FIELD){nullptr, 0, sizeof(Described)}}; \
    return fields;                                               \
  }

DESCRIBE_STRUCT(AttentionSizes, ATTENTION_SIZES)
DESCRIBE_STRUCT(AttentionWeights, ATTENTION_WEIGHTS)
DESCRIBE_STRUCT(PairwiseSizes, PAIRWISE_SIZES)
DESCRIBE_STRUCT(PairwiseWeights, PAIRWISE_WEIGHTS)
DESCRIBE_STRUCT(PairMatchSizes, PAIR_MATCH_SIZES)
DESCRIBE_STRUCT(GRUSizes, GRU_SIZES)
DESCRIBE_STRUCT(GRUWeights, GRU_WEIGHTS)
DESCRIBE_STRUCT(EntityHeadSizes, ENTITY_HEAD_SIZES)
DESCRIBE_STRUCT(EntityHeadWeights, ENTITY_HEAD_WEIGHTS)
