//! The PCIe link: bandwidth left for payload after encoding, link-layer traffic and packet headers, and latency.
//!
//! The bandwidth follows pcie-bench (Neugebauer et al., SIGCOMM 2018; `pcie-model`): raw rate, less the recommended
//! rates of acknowledgements, flow-control updates and skip sets, times payload over payload plus header.

use crate::profile::PcieProfile;
use crate::time::{Clock, Picoseconds};

/// Header, sequence number and checksum of a completion with data. \[bytes\]
const COMPLETION_OVERHEAD_BYTES: u64 = 20;
/// The same of a memory write with a 64-bit address. \[bytes\]
const WRITE_OVERHEAD_BYTES: u64 = 24;
/// The same of a memory read with a 64-bit address, which has no payload. \[bytes\]
const READ_REQUEST_BYTES: u64 = 24;
/// A link-layer packet on the wire. \[bytes\]
const LINK_PACKET_BYTES: f64 = 8.0;
/// Skip ordered sets: 4 symbols in every 1538.
const SKIP_SHARE: f64 = 4.0 / 1538.0;

/// A link of a fixed generation, width and configuration.
#[derive(Clone, Debug)]
pub struct Link {
    profile: PcieProfile,
    /// Bandwidth of the packet layer, per direction. \[bytes/s\]
    packet_bandwidth: u64,
}

impl Link {
    /// The link that a profile describes.
    pub fn new(profile: &PcieProfile) -> Link {
        let raw = raw_bandwidth(profile.generation, profile.lanes);
        let limit = acknowledge_limit_bytes(profile.lanes, profile.payload_bytes);
        let share = 1.0 - 2.0 * LINK_PACKET_BYTES / limit - SKIP_SHARE;
        Link { profile: profile.clone(), packet_bandwidth: (raw * share) as u64 }
    }

    /// How long the card takes to read `bytes` bytes of host memory, from the first request to the last byte.
    ///
    /// Completions share the wire towards the card; requests in flight are bounded by the tags.
    pub fn read_duration(&self, bytes: u64) -> Picoseconds {
        if bytes == 0 {
            return 0;
        }
        let completions = bytes.div_ceil(self.profile.completion_bytes);
        let wire = self.wire_time(bytes + completions * COMPLETION_OVERHEAD_BYTES);
        let latency = self.profile.read_latency_ns * 1_000;
        let rounds = bytes.div_ceil(self.profile.read_request_bytes * self.profile.read_tags);
        latency + self.wire_time(READ_REQUEST_BYTES) + wire.max((rounds - 1) * latency)
    }

    /// How long the card takes to write `bytes` bytes to host memory, until the last byte is visible there.
    pub fn write_duration(&self, bytes: u64) -> Picoseconds {
        if bytes == 0 {
            return 0;
        }
        let packets = bytes.div_ceil(self.profile.payload_bytes);
        self.wire_time(bytes + packets * WRITE_OVERHEAD_BYTES) + self.profile.write_latency_ns * 1_000
    }

    /// How long a write of `bytes` bytes keeps the writer, who does not wait for its arrival.
    pub fn post_duration(&self, bytes: u64) -> Picoseconds {
        self.wire_time(bytes + bytes.div_ceil(self.profile.payload_bytes) * WRITE_OVERHEAD_BYTES)
    }

    /// Time that scattered pieces add to a transfer of the same length in one piece: an unfilled packet each, at most.
    pub fn scatter_duration(&self, pieces: u64) -> Picoseconds {
        self.wire_time(pieces.saturating_sub(1) * WRITE_OVERHEAD_BYTES)
    }

    /// The same in cycles of `clock`.
    pub fn read_cycles(&self, bytes: u64, clock: Clock) -> u64 {
        clock.cycles_to_cover(self.read_duration(bytes))
    }

    /// The same in cycles of `clock`.
    pub fn write_cycles(&self, bytes: u64, clock: Clock) -> u64 {
        clock.cycles_to_cover(self.write_duration(bytes))
    }

    /// Bandwidth of long reads of host memory, tags permitting. \[bytes/s\]
    pub fn read_bandwidth(&self) -> u64 {
        payload_share(self.packet_bandwidth, self.profile.completion_bytes, COMPLETION_OVERHEAD_BYTES)
    }

    /// Bandwidth of long writes to host memory. \[bytes/s\]
    pub fn write_bandwidth(&self) -> u64 {
        payload_share(self.packet_bandwidth, self.profile.payload_bytes, WRITE_OVERHEAD_BYTES)
    }

    fn wire_time(&self, bytes: u64) -> Picoseconds {
        (u128::from(bytes) * 1_000_000_000_000).div_ceil(u128::from(self.packet_bandwidth)) as u64
    }
}

fn payload_share(bandwidth: u64, payload: u64, overhead: u64) -> u64 {
    (u128::from(bandwidth) * u128::from(payload) / u128::from(payload + overhead)) as u64
}

/// Rate of the wire after line encoding, per direction. \[bytes/s\]
fn raw_bandwidth(generation: u64, lanes: u64) -> f64 {
    let (gigatransfers, encoding) = match generation {
        1 => (2.5, 8.0 / 10.0),
        2 => (5.0, 8.0 / 10.0),
        3 => (8.0, 128.0 / 130.0),
        4 => (16.0, 128.0 / 130.0),
        _ => (32.0, 128.0 / 130.0),
    };
    gigatransfers * 1e9 * encoding * lanes as f64 / 8.0
}

/// Acknowledge and flow-control latency limits at 8 GT/s and above, in symbols of one byte a lane set (PCI Express Base
/// Specification 5.0, tables 2-48 and 3-9).
fn acknowledge_limit_bytes(lanes: u64, payload_bytes: u64) -> f64 {
    let row = match lanes {
        1 => [333.0, 512.0, 655.0, 1167.0],
        2 => [224.0, 313.0, 385.0, 641.0],
        4 => [169.0, 214.0, 250.0, 378.0],
        8 => [163.0, 203.0, 182.0, 246.0],
        _ => [144.0, 168.0, 182.0, 246.0],
    };
    match payload_bytes {
        128 => row[0],
        256 => row[1],
        512 => row[2],
        _ => row[3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn link(generation: u64, lanes: u64, completion_bytes: u64) -> Link {
        let base = Profile::load("u55c").unwrap().pcie;
        Link::new(&PcieProfile { generation, lanes, completion_bytes, payload_bytes: 256, ..base })
    }

    /// Published rows of pcie-bench's model (payload 256, reads completed in 64 or 256 bytes), in GB/s.
    #[test]
    fn bandwidth_matches_the_published_rows() {
        let rows = [
            (3, 4, 3.32, 3.37, 2.77),
            (3, 8, 6.62, 6.72, 5.52),
            (3, 16, 12.99, 13.18, 10.83),
            (4, 8, 13.23, 13.42, 11.02),
            (4, 16, 25.99, 26.37, 21.66),
        ];
        for (generation, lanes, write, read256, read64) in rows {
            let close = |got: u64, expected: f64| (got as f64 / 1e9 - expected).abs() < 0.015;
            assert!(close(link(generation, lanes, 64).write_bandwidth(), write), "Gen{generation} x{lanes}");
            assert!(
                close(link(generation, lanes, 256).read_bandwidth(), read256),
                "Gen{generation} x{lanes}"
            );
            assert!(close(link(generation, lanes, 64).read_bandwidth(), read64), "Gen{generation} x{lanes}");
        }
    }

    #[test]
    fn long_transfers_reach_the_bandwidth_and_short_ones_the_latency() {
        let link = link(4, 8, 64);
        let bytes = 1 << 30;
        let rate = bytes as f64 / link.read_duration(bytes) as f64 * 1e3;
        assert!((rate - link.read_bandwidth() as f64 / 1e9).abs() < 0.01, "{rate}");
        assert!(link.read_duration(64) < 1_020_000 && link.read_duration(64) > 1_000_000);
        assert_eq!(link.read_duration(0), 0);
    }

    #[test]
    fn few_tags_bound_the_reads() {
        let base = Profile::load("u55c").unwrap().pcie;
        let few = Link::new(&PcieProfile { read_tags: 8, ..base });
        let bytes = 1u64 << 24;
        let rate = bytes as f64 / few.read_duration(bytes) as f64 * 1e12;
        assert!((rate / (8.0 * 512.0 / 1e-6) - 1.0).abs() < 0.01, "{rate}");
    }
}
