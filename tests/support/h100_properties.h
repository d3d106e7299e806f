// A card that is not here, as cuDNN describes one: NVIDIA's figures of an H100 SXM5 80 GB; CUDA C++ Programming Guide, compute
// capability 9.0.
#pragma once

namespace stepscope::testing {

inline constexpr const char* h100_properties =
    R"({"maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536,
 "multiProcessorCount": 132, "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
 "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024,
 "maxThreadsPerSM": 2048, "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85017755648,
 "smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "l2CacheSize": 52428800, "cudaDeviceId": 0, "deviceVer": 900,
 "driverVer": 13000, "deviceName": "NVIDIA H100 80GB HBM3"})";

}  // namespace stepscope::testing
