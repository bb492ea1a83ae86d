//! Card memory bandwidth: channels that share every vector, bursts, refresh and latency.
//!
//! A vector is spread over all channels in pieces of one burst, so long streams use the whole bandwidth and a short one
//! the channels it touches. A burst of b beats occupies its channel b + 1/b beats (a single beat costs two: the column
//! delay within a bank group), and refresh takes its share of the time. For 16 beats on 32 channels at 450 MHz this
//! gives 428 GB/s; the AWS F2 sample design measures 426 (read) and 434 (write).

use crate::profile::MemoryProfile;
use crate::time::{Clock, Picoseconds};

/// Timing of a card's memory.
#[derive(Clone, Debug)]
pub struct Hbm {
    profile: MemoryProfile,
}

impl Hbm {
    /// The memory that a profile describes.
    pub fn new(profile: &MemoryProfile) -> Hbm {
        Hbm { profile: profile.clone() }
    }

    /// How long `bytes` bytes occupy the memory when moved in bursts of the profile's length.
    pub fn stream_duration(&self, bytes: u64) -> Picoseconds {
        self.burst_duration(bytes, self.profile.burst_bytes)
    }

    /// How long `bytes` bytes occupy the memory when moved in bursts of `burst_bytes`.
    pub fn burst_duration(&self, bytes: u64, burst_bytes: u64) -> Picoseconds {
        let beat_bytes = self.profile.channel_bits / 8;
        let burst_bytes = burst_bytes.clamp(beat_bytes, self.profile.burst_bytes);
        let beats = burst_bytes / beat_bytes;
        // Bursts of the channel that has the most of them.
        let bursts = u128::from(bytes.div_ceil(burst_bytes).div_ceil(self.profile.channels));
        let beat_ps = 1_000_000u128;
        let occupied = bursts * u128::from(beats * beats + 1) * beat_ps;
        let transfer = occupied.div_ceil(u128::from(beats * self.profile.mhz));
        let (busy, interval) = (self.profile.refresh_busy_ns, self.profile.refresh_interval_ns);
        (transfer * u128::from(interval)).div_ceil(u128::from(interval - busy)) as u64
    }

    /// Cycles of `clock` that a stream occupies the memory.
    pub fn stream_cycles(&self, bytes: u64, clock: Clock) -> u64 {
        clock.cycles_to_cover(self.stream_duration(bytes))
    }

    /// Cycles of `clock` from a read request to its data.
    pub fn read_latency(&self, clock: Clock) -> u64 {
        clock.cycles_to_cover(self.profile.read_latency_ns * 1_000)
    }

    /// Cycles of `clock` from the last written word to its acknowledgement.
    pub fn write_latency(&self, clock: Clock) -> u64 {
        clock.cycles_to_cover(self.profile.write_latency_ns * 1_000)
    }

    /// Bandwidth of all channels before bursts and refresh take their share. \[MB/s\]
    pub fn peak_mb_per_s(&self) -> u64 {
        self.profile.channels * (self.profile.channel_bits / 8) * self.profile.mhz
    }

    /// The memory's size. \[bytes\]
    pub fn size_bytes(&self) -> u64 {
        self.profile.gib << 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn gigabytes_per_second(burst_bytes: u64) -> f64 {
        let hbm = Hbm::new(&Profile::load("u55c").unwrap().memory);
        let bytes = 1u64 << 30;
        bytes as f64 / hbm.burst_duration(bytes, burst_bytes) as f64 * 1e3
    }

    /// AWS F2 `cl_mem_perf`: 512-byte bursts on 32 channels at 450 MHz, read 426.28, write 433.69 GB/s of 460.8.
    #[test]
    fn long_bursts_come_within_two_percent_of_the_measured_bandwidth() {
        let got = gigabytes_per_second(512);
        assert!((got / 426.28 - 1.0).abs() < 0.02 && (got / 433.69 - 1.0).abs() < 0.02, "{got}");
    }

    /// Supranational: single beats reach half of the bandwidth, eight beats nearly all of it.
    #[test]
    fn short_bursts_lose_bandwidth() {
        let (one, eight, sixteen) =
            (gigabytes_per_second(32), gigabytes_per_second(256), gigabytes_per_second(512));
        assert!((one / sixteen - 0.5).abs() < 0.01 && eight / sixteen > 0.98, "{one} {eight} {sixteen}");
    }

    #[test]
    fn a_single_burst_uses_one_channel() {
        let hbm = Hbm::new(&Profile::load("u55c").unwrap().memory);
        assert_eq!(hbm.stream_duration(512), hbm.stream_duration(32 * 512));
        assert!(hbm.stream_duration(33 * 512) > hbm.stream_duration(32 * 512));
    }
}
