//! The verdicts that an Envoy remembers: those that were used last, of all listeners and
//! threads together, in a bounded room.

use crate::verdict::Verdict;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Key is a policy, by its hash, and the whole of a credential that was shown to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Box<[u8]>);

/// The longest credential that is remembered: of what Gatewright takes, all.
const LONGEST: usize = 16 << 10;

impl Key {
    /// None: it is too long to be remembered.
    pub fn new(policy: &[u8], credential: &[u8]) -> Option<Key> {
        if credential.len() > LONGEST {
            return None;
        }
        let mut key = Vec::with_capacity(policy.len() + 1 + credential.len());
        key.extend_from_slice(policy);
        key.push(b'\n'); // is in no header
        key.extend_from_slice(credential);
        Some(Key(key.into_boxed_slice()))
    }

    /// Tells whether it is a key of this policy's.
    pub fn is_of(&self, policy: &[u8]) -> bool {
        self.0.len() > policy.len() && self.0.starts_with(policy) && self.0[policy.len()] == b'\n'
    }
}

const SHARDS: usize = 64;

/// How many bytes a generation of a shard takes: 16 MiB in all, of 64 shards of two.
const ROOM: usize = 128 << 10;

/// A generation that is full becomes the old one, and what is found there the young one's
/// again: so what was used last is kept, and nothing has to be sorted.
#[derive(Default)]
struct Shard {
    young: HashMap<Key, Arc<Verdict>>,
    old: HashMap<Key, Arc<Verdict>>,
    bytes: usize, // of the young
    within: bool, // some thread is at work in it, or has panicked there
}

impl Shard {
    fn find(&mut self, key: &Key) -> Option<Arc<Verdict>> {
        if let Some(v) = self.young.get(key) {
            return Some(v.clone());
        }
        let (key, v) = self.old.remove_entry(key)?;
        self.put(key, v.clone());
        Some(v)
    }

    fn put(&mut self, key: Key, v: Arc<Verdict>) {
        let size = |v: &Verdict| key.0.len() + v.size();
        if let Some(before) = self.young.remove(&key) {
            self.bytes -= size(&before);
        }
        self.old.remove(&key);
        let more = size(&v);
        if more > ROOM {
            return;
        }
        if self.bytes + more > ROOM {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += more;
        self.young.insert(key, v);
    }
}

/// Memory may be used by all threads.
pub struct Memory {
    shards: Vec<Mutex<Shard>>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Does something to the shard of a key. Where some thread has panicked in the middle of
    /// that, nothing of the shard is trusted, and it begins anew.
    fn within<T>(&self, key: &Key, work: impl FnOnce(&mut Shard) -> T) -> T {
        // The end of a token is its signature, which is as good as chance.
        let end = key
            .0
            .iter()
            .rev()
            .take(8)
            .fold(0usize, |sum, &b| sum.wrapping_mul(31).wrapping_add(b.into()));
        let mut shard = self.shards[end % SHARDS].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if shard.within {
            *shard = Shard::default();
        }
        shard.within = true;
        let out = work(&mut shard);
        shard.within = false;
        out
    }

    pub fn find(&self, key: &Key) -> Option<Arc<Verdict>> {
        self.within(key, |shard| shard.find(key))
    }

    pub fn put(&self, key: Key, v: Verdict) {
        self.within(&key.clone(), |shard| shard.put(key, Arc::new(v)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(user: &str) -> Verdict {
        Verdict {
            epoch: b"e".to_vec(),
            until: 1,
            user: user.as_bytes().to_vec(),
            ..Verdict::default()
        }
    }

    fn key(policy: &str, credential: &str) -> Key {
        Key::new(policy.as_bytes(), credential.as_bytes()).unwrap()
    }

    fn held(m: &Memory) -> usize {
        let bytes = |all: &HashMap<Key, Arc<Verdict>>| all.iter().map(|(k, v)| k.0.len() + v.size()).sum::<usize>();
        m.shards
            .iter()
            .map(|s| {
                let s = s.lock().unwrap();
                assert_eq!(bytes(&s.young), s.bytes, "what is counted is what is there");
                assert!(s.young.keys().all(|k| !s.old.contains_key(k)), "nothing is there twice");
                s.bytes + bytes(&s.old)
            })
            .sum()
    }

    #[test]
    fn finds_what_was_told_of_the_same_policy_and_credential() {
        let m = Memory::new();
        m.put(key("p", "Bearer a"), verdict("alice"));
        assert_eq!(m.find(&key("p", "Bearer a")).unwrap().user, b"alice");
        for other in [
            key("q", "Bearer a"),
            key("p", "Bearer A"),
            key("p", "Bearer a "),
            key("pB", "earer a"),
        ] {
            assert!(m.find(&other).is_none());
        }
        m.put(key("p", "Bearer a"), verdict("bob"));
        assert_eq!(m.find(&key("p", "Bearer a")).unwrap().user, b"bob");
        held(&m);
    }

    #[test]
    fn keeps_what_is_used_in_a_bounded_room() {
        let m = Memory::new();
        let used = key("p", "the one that is asked for again and again");
        m.put(used.clone(), verdict("alice"));
        for i in 0..60_000 {
            m.put(key("p", &format!("{:0700}", i)), verdict("somebody"));
            assert!(m.find(&used).is_some(), "after {}", i);
            if i % 10_000 == 0 {
                assert!(held(&m) <= 2 * SHARDS * ROOM);
            }
        }
        assert!(held(&m) <= 2 * SHARDS * ROOM);
        assert!(m.find(&key("p", &format!("{:0700}", 5))).is_none(), "the first are forgotten");
        assert!(m.find(&key("p", &format!("{:0700}", 59_999))).is_some());
    }

    #[test]
    fn does_not_take_what_is_too_long() {
        assert!(Key::new(b"p", &vec![b'a'; LONGEST]).is_some());
        assert!(Key::new(b"p", &vec![b'a'; LONGEST + 1]).is_none());
        let m = Memory::new();
        m.put(key("p", "c"), verdict(&"u".repeat(ROOM)));
        assert!(m.find(&key("p", "c")).is_none());
        assert_eq!(held(&m), 0);
    }

    #[test]
    fn a_panic_elsewhere_costs_what_is_remembered_and_no_more() {
        let m = Memory::new();
        m.put(key("p", "c"), verdict("alice"));
        std::thread::scope(|s| {
            let fault = s.spawn(|| {
                m.within(&key("p", "c"), |_| panic!("as it may happen"));
            });
            assert!(fault.join().is_err());
        });
        assert!(m.find(&key("p", "c")).is_none());
        m.put(key("p", "c"), verdict("bob"));
        assert!(m.find(&key("p", "c")).is_some());
    }
}
