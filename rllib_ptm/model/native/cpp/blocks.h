// Blocks of frames (in the GRU: of sequences). A thread computes one block at a time.
#pragma once

#include <algorithm>
#include <cstdint>

// `total` frames in blocks of `size`; the last one may be smaller.
struct Blocks {
  // At most `largest` a block, and such that all partial sums get the same number of blocks.
  Blocks(int64_t total, int64_t largest, int64_t partial_sums, int64_t threads)
      : total(total), partial_sums(partial_sums), threads(threads) {
    const long share = std::max<long>(1, (total + partial_sums - 1) / partial_sums);
    const long most = std::max<long>(1, largest);
    const long blocks = (share + most - 1) / most;
    size = (share + blocks - 1) / blocks;
  }

  // Calls compute(worker, first frame, number of frames) for each block. make_worker() makes one
  // worker for each thread.
  template <class MakeWorker, class Compute>
  void for_each(MakeWorker make_worker, Compute compute) const {
#pragma omp parallel num_threads(threads)
    {
      auto worker = make_worker();
#pragma omp for schedule(dynamic)
      for (long first = 0; first < total; first += size)
        compute(worker, first, std::min(size, total - first));
    }
  }

  // The same, where each worker adds to gradients [partial_sums, parameters], and add_to says to
  // which part. A part always gets the same blocks, so that the result does not depend on which
  // thread computes it. Parts take blocks in turn.
  template <class MakeWorker, class Compute>
  void add_gradients(float* gradients, long parameters, MakeWorker make_worker,
                     Compute compute) const {
#pragma omp parallel num_threads(threads)
    {
      auto worker = make_worker();
#pragma omp for schedule(dynamic)
      for (long part = 0; part < partial_sums; ++part) {
        worker.add_to(gradients + part * parameters);
        for (long first = part * size; first < total; first += partial_sums * size)
          compute(worker, first, std::min(size, total - first));
      }
    }
  }

  long total, size, partial_sums, threads;
};
