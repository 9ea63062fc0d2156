//! The config of the filter that tells of a limit which runs inside Envoy. Gatewright writes it
//! (xds/limitmodule.go), a line for each thing:
//!
//! ```text
//! version 1
//! limit NAME
//! refill EVENTS MILLISECONDS
//! cost TOKENS
//! words WORDS
//! client HEADER
//! ```
//!
//! WORDS is `ietf`, `x`, `both` or `none`; the last line is there where the limit is told who
//! the client is.

use crate::config;

/// The most that a number of a config may be. So there is room for `Limit::until`, whatever a
/// bucket says of itself in 64 bits.
const MOST: u128 = 1 << 60;

/// In which headers clients are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words {
    /// RateLimit-Limit, -Remaining and -Reset.
    pub ietf: bool,
    /// The same with X- in front.
    pub x: bool,
}

/// Limit is the config.
#[derive(Debug, PartialEq)]
pub struct Limit {
    pub name: Vec<u8>,
    /// A bucket gets so many tokens in so many milliseconds.
    pub events: u128,
    pub millis: u128,
    /// How many tokens a request takes.
    pub cost: u128,
    pub words: Words,
    /// The header that tells who the client is.
    pub client: Option<Vec<u8>>,
}

fn number(word: &[u8]) -> Result<u128, String> {
    std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|n| (1..=MOST).contains(n))
        .ok_or_else(|| format!("no number can be {:?}", String::from_utf8_lossy(word)))
}

fn words(word: &[u8]) -> Result<Words, String> {
    let (ietf, x) = match word {
        b"ietf" => (true, false),
        b"x" => (false, true),
        b"both" => (true, true),
        b"none" => (false, false),
        _ => return Err(format!("no headers are {:?}", String::from_utf8_lossy(word))),
    };
    Ok(Words { ietf, x })
}

impl Limit {
    /// Reads a config, or says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Limit, String> {
        let (mut name, mut refill, mut cost, mut told, mut client) = (None, None, None, None, None);
        for parts in config::lines(text)? {
            match parts[..] {
                [b"limit", n] => name = Some(n.to_vec()),
                [b"refill", events, millis] => refill = Some((number(events)?, number(millis)?)),
                [b"cost", tokens] => cost = Some(number(tokens)?),
                [b"words", w] => told = Some(words(w)?),
                [b"client", header] => client = Some(header.to_vec()),
                _ => return Err(config::strange(&parts)),
            }
        }
        match (name, refill, cost, told) {
            (Some(name), Some((events, millis)), Some(cost), Some(words)) => Ok(Limit {
                name,
                events,
                millis,
                cost,
                words,
                client,
            }),
            _ => Err("something is missing of the limit's name, refill, cost and words".to_string()),
        }
    }

    /// The whole seconds until so many tokens are there where some are left, rounded up.
    pub fn until(&self, tokens: u128, left: u128) -> u128 {
        let unit = 1000 * self.events;
        (tokens.saturating_sub(left) * self.millis + unit - 1) / unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gatewright_writes() {
        let l = Limit::parse(b"version 1\nlimit per-user\nrefill 5 60000\ncost 2\nwords both\nclient x-gatewright-key-address\n").unwrap();
        let want = Limit {
            name: b"per-user".to_vec(),
            events: 5,
            millis: 60_000,
            cost: 2,
            words: Words { ietf: true, x: true },
            client: Some(b"x-gatewright-key-address".to_vec()),
        };
        assert_eq!(l, want);
        let l = Limit::parse(b"version 1\nlimit per-user\nrefill 5 60000\ncost 1\nwords none\n").unwrap();
        assert_eq!(l.words, Words { ietf: false, x: false });
        assert_eq!(l.client, None);
    }

    #[test]
    fn refuses_all_else() {
        for (text, says) in [
            ("", "different versions"),
            ("version 2\n", "different versions"),
            ("version 1\nlimit l\nrefill 1 1\nwords ietf\n", "missing"),
            ("version 1\nlimit l\nrefill 1 1\ncost 1\n", "missing"),
            ("version 1\nlimit l\ncost 1\nwords ietf\n", "missing"),
            ("version 1\nrefill 1 1\ncost 1\nwords ietf\n", "missing"),
            ("version 1\nlimit l\nrefill 0 1\ncost 1\nwords ietf\n", "no number"),
            ("version 1\nlimit l\nrefill 1 -1\ncost 1\nwords ietf\n", "no number"),
            (
                "version 1\nlimit l\nrefill 1 1\ncost 99999999999999999999999999\nwords ietf\n",
                "no number",
            ),
            ("version 1\nlimit l\nrefill 1 1\ncost 1\nwords loud\n", "no headers"),
            ("version 1\nlimit l m\n", "no line"),
        ] {
            let why = Limit::parse(text.as_bytes()).unwrap_err();
            assert!(why.contains(says), "{:?}: {}", text, why);
        }
    }

    #[test]
    fn reckons_in_whole_seconds_rounded_up() {
        let l = |events: u128, millis: u128| {
            Limit::parse(format!("version 1\nlimit l\nrefill {} {}\ncost 1\nwords ietf\n", events, millis).as_bytes()).unwrap()
        };
        for (events, millis, tokens, left, want) in [
            (1, 86_400_000, 3, 2, 86_400),
            (10, 1000, 20, 20, 0),
            (10, 1000, 20, 19, 1),
            (10, 1000, 20, 10, 1),
            (10, 1000, 20, 9, 2),
            (3, 1000, 4, 0, 2),
            (1, 1000, 3, 5, 0), // more is left than is asked for
            (1, 1 << 60, 1 << 60, 0, (1 << 120) / 1000 + 1),
        ] {
            assert_eq!(
                l(events, millis).until(tokens, left),
                want,
                "{} of {} by {} in {} ms",
                left,
                tokens,
                events,
                millis
            );
        }
    }
}
