//! Which partition a record goes to: exactly as Kafka's default partitioner has it, so that a key is where any Kafka client
//! would look for it.

use std::collections::HashMap;

use crate::error::LogError;
use crate::record::{NewRecord, Partition};
use crate::topic::TopicInfo;

/// The partition of a message key: Kafka's murmur2 of its bytes, made positive, modulo the number of partitions.
/// `partitions` is at least 1 in every topic that exists; 0 is read as 1.
pub fn partition_for(key: &[u8], partitions: u32) -> Partition {
    let positive = murmur2(key) & 0x7fff_ffff;
    // Less than 2^31 whatever the divisor: the cast keeps the value.
    Partition((positive % partitions.max(1)) as i32)
}

/// `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Java's length is an int; a longer array does not exist there.
    let mut h = SEED ^ data.len() as u32;
    let (blocks, rest) = data.as_chunks::<4>();
    for block in blocks {
        let mut k = u32::from_le_bytes(*block).wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, &byte| tail << 8 | u32::from(byte));
        h = (h ^ tail).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// Spreads records that have no key: each topic's go round its partitions. `start` sets where the round begins, so that
/// many short runs that write a record each do not all write to partition 0.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    start: u32,
    next: HashMap<String, u32>,
}

impl Spread {
    pub(crate) fn starting_at(start: u32) -> Self {
        Spread { start, next: HashMap::new() }
    }

    /// The partition of this record in this topic.
    pub(crate) fn place(&mut self, topic: &TopicInfo, record: &NewRecord) -> Result<Partition, LogError> {
        match (record.partition, &record.key) {
            (Some(partition), _) => topic.index(partition).map(|_| partition),
            (None, Some(key)) => Ok(partition_for(key, topic.partitions)),
            (None, None) => Ok(self.turn(topic)),
        }
    }

    fn turn(&mut self, topic: &TopicInfo) -> Partition {
        // Only topics that exist come here, so the map is as small as the catalog of topics.
        let next = match self.next.get_mut(&topic.name) {
            Some(next) => next,
            None => self.next.entry(topic.name.clone()).or_insert(self.start),
        };
        let partition = *next % topic.partitions;
        *next = next.wrapping_add(1);
        Partition(partition as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_kafkas() {
        let cases: &[(&str, i32)] = &[
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()) as i32, *expected, "{text}");
        }
    }

    #[test]
    fn a_partition_is_the_positive_hash_modulo_the_count() {
        for (text, hash) in [("21", -973932308_i32), ("abc", 479470107)] {
            for partitions in [1_u32, 3, 10, 10_000] {
                let expected = (hash & 0x7fff_ffff) % partitions as i32;
                assert_eq!(partition_for(text.as_bytes(), partitions), Partition(expected), "{text} of {partitions}");
            }
        }
        assert_eq!(partition_for(b"x", 0), Partition(0));
    }
}
