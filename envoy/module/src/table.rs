//! The config of the filter that remembers: which policies there are, and by what they judge
//! now. Gatewright writes it (xds/memory.go), a line for each thing:
//!
//! ```text
//! version 1
//! config VERSION
//! policy HASH EPOCH LIMIT ABSENT
//! ```
//!
//! `-` is none; ABSENT are names of headers with commas between.

use crate::config;
use std::collections::HashMap;

/// Policy is what a remembered verdict is held against.
#[derive(Debug, Default, PartialEq)]
pub struct Policy {
    /// Stands for all that the policy's verdicts depend on beside the request, as keys and
    /// revocations. Empty: nothing that is remembered holds.
    pub epoch: Vec<u8>,
    /// The limit that a filter behind counts the request by; empty is none.
    pub limit: Vec<u8>,
    /// Headers in which other credentials come: who shows one is asked about.
    pub absent: Vec<Vec<u8>>,
}

/// Table is the config.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    /// The version of the gateway's config, for the log; empty is not known.
    pub config: Vec<u8>,
    /// By hash.
    pub policies: HashMap<Vec<u8>, Policy>,
}

fn none_or(word: &[u8]) -> Vec<u8> {
    if word == b"-" {
        Vec::new()
    } else {
        word.to_vec()
    }
}

impl Table {
    /// Reads a config, or says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Table, String> {
        let mut table = Table::default();
        for words in config::lines(text)? {
            match words[..] {
                [b"config", version] => table.config = none_or(version),
                [b"policy", hash, epoch, limit, absent] => {
                    let policy = Policy {
                        epoch: none_or(epoch),
                        limit: none_or(limit),
                        absent: none_or(absent)
                            .split(|&b| b == b',')
                            .filter(|n| !n.is_empty())
                            .map(<[u8]>::to_vec)
                            .collect(),
                    };
                    table.policies.insert(hash.to_vec(), policy);
                }
                _ => return Err(config::strange(&words)),
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gatewright_writes() {
        let table = Table::parse(b"version 1\nconfig c1\npolicy abc e1 - -\npolicy def - per-user x-api-key,x-other\n").unwrap();
        assert_eq!(table.config, b"c1");
        assert_eq!(
            table.policies[&b"abc"[..]],
            Policy {
                epoch: b"e1".to_vec(),
                ..Policy::default()
            }
        );
        assert_eq!(
            table.policies[&b"def"[..]],
            Policy {
                epoch: vec![],
                limit: b"per-user".to_vec(),
                absent: vec![b"x-api-key".to_vec(), b"x-other".to_vec()]
            }
        );
    }

    #[test]
    fn refuses_all_else() {
        for (text, says) in [
            (&b""[..], "different versions"),
            (b"version 2\n", "different versions"),
            (b"version 1\npolicy abc e1 -\n", "no line can be"),
            (b"version 1\npolicy abc e1 - - more\n", "no line can be"),
            (b"version 1\nsomething\n", "no line can be"),
        ] {
            let why = Table::parse(text).unwrap_err();
            assert!(why.contains(says), "{:?}: {}", String::from_utf8_lossy(text), why);
        }
    }
}
