// SPDX-FileCopyrightText: 2026 The Pleat authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// The few instructions that CUDA C++ has no words for.
namespace pleat::cuda {

/// 16 bytes that are read once: they must not push anything out of L1, and a miss brings in the
/// whole 128-byte line pair that the neighbouring threads ask for.
__device__ __forceinline__ uint4 load_stream16(const void* p) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

/// Dynamic shared memory from a 128-byte boundary on, for which launch() leaves room: copies whose
/// rows straddle the 128-byte lines of shared memory take up to a tenth longer, and where dynamic
/// memory starts depends on what lies before it.
inline constexpr int kSharedAlignment = 128;
__device__ __forceinline__ uint4* aligned_dynamic(uint4* dynamic) {
  const std::uint32_t past = shared_address(dynamic) % kSharedAlignment;
  return dynamic + (kSharedAlignment - past) % kSharedAlignment / sizeof(uint4);
}

/// Copies 16 bytes to shared memory without passing a register or L1; the issuing thread waits for
/// its own copies with wait_for_copies().
__device__ __forceinline__ void copy_stream16(std::uint32_t shared, const void* global) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(shared), "l"(global)
               : "memory");
}
/// The same, at offsets that go into the instruction.
template <int Shared, int Global>
__device__ __forceinline__ void copy_stream16_at(std::uint32_t shared, const void* global) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0 + %2], [%1 + %3], 16;" ::"r"(shared),
               "l"(global), "n"(Shared), "n"(Global)
               : "memory");
}
/// The same for 4 or 8 bytes, through L1.
template <int Bytes>
__device__ __forceinline__ void copy_small(void* shared, const void* global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(shared)),
               "l"(global), "n"(Bytes)
               : "memory");
}
/// Copies issued since the last call are one group.
__device__ __forceinline__ void close_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits for all of the thread's groups but the last `Newer`.
template <int Newer>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Newer) : "memory");
}

/// The larger, or NaN if one is.
__device__ __forceinline__ float larger_or_nan(float a, float b) {
  float m;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(m) : "f"(a), "f"(b));
  return m;
}

/// Named barriers, for some warps of a block: waits for `threads` threads, among them the caller.
__device__ __forceinline__ void barrier_of(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
/// Volatile, so that it is loaded where it is used: a tile's values do not fit the registers.
__device__ __forceinline__ float2 shared_float2(std::uint32_t at) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(at));
  return v;
}
__device__ __forceinline__ void put_shared_float2(std::uint32_t at, float a, float b) {
  asm volatile("st.shared.v2.f32 [%0], {%1,%2};" ::"r"(at), "f"(a), "f"(b) : "memory");
}
__device__ __forceinline__ std::uint32_t shared_word(std::uint32_t at) {
  std::uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(at));
  return v;
}

/// Programmatic dependent launch: everything that a predecessor on the stream wrote is visible
/// after the wait. A kernel that was not launched so passes through, as does a second wait. Every
/// thread waits, also one that reads nothing: else the kernel could end before its predecessor.
__device__ __forceinline__ void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// After the wait, never before: a successor may take it that there is no other kernel before this
/// one. Early, as a successor whose blocks find room waits by itself.
__device__ __forceinline__ void let_successor_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/// Where nothing more is read before the wait.
__device__ __forceinline__ void wait_for_rows() {
  wait_for_predecessor();
  let_successor_start();
}

#if __CUDA_ARCH__ >= 900

/// Relaxed: what peers must see before is fenced by who wrote it.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/// The same shared-memory address in another block of the cluster.
__device__ __forceinline__ std::uint32_t peer_address(std::uint32_t local, std::uint32_t rank) {
  std::uint32_t remote;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(local), "r"(rank));
  return remote;
}

__device__ __forceinline__ void barrier_init(std::uint64_t* bar, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(arrivals)
               : "memory");
}
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void barrier_expect(std::uint64_t* bar, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)),
               "r"(bytes)
               : "memory");
}
/// Puts 8 bytes into a peer's shared memory and counts them at that peer's barrier.
__device__ __forceinline__ void put_to_peer(std::uint32_t peer_slot, std::uint64_t value,
                                            std::uint32_t peer_barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.b64 [%0], %1, [%2];" ::"r"(peer_slot),
      "l"(value), "r"(peer_barrier)
      : "memory");
}

/// What peers have put before the phase ended is visible then.
__device__ __forceinline__ void barrier_wait(std::uint64_t* bar, std::uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(shared_address(bar)),
      "r"(parity)
      : "memory");
}

#endif  // __CUDA_ARCH__ >= 900

}  // namespace pleat::cuda
