//! The filter that tells of a limit which runs inside Envoy, in front of the judge. On the way in
//! it says that the request will be counted behind the judge, which then does not count it. On
//! the way back it puts what Envoy's bucket says of itself into the words of the config.
//!
//! What it does, Envoy's header mutations do as well, at several times its cost.

use crate::host::{Client, Request, Response};
use crate::limit::Limit;

/// The header by which the judge, and the filter that remembers verdicts, know that the
/// request will be counted.
pub const COUNTED: &[u8] = b"x-gatewright-counted";

/// Where Envoy's bucket says how large it is and what is left in it.
const WHOLE: &[u8] = b"x-ratelimit-limit";
const LEFT: &[u8] = b"x-ratelimit-remaining";
const RESET: &[u8] = b"x-ratelimit-reset";

/// What Envoy says of a request that its bucket has denied.
const DENIED: &[u8] = b"local_rate_limited";

/// Says that the request will be counted, and whose it is where the limit is to know that.
pub fn announce<R: Request + Client>(limit: &Limit, request: &mut R) {
    if let Some(header) = &limit.client {
        let host = request.address().map(|address| host_of(address).to_vec());
        match host {
            Some(host) => request.set_header(header, &host),
            None => request.remove_header(header), // a client's own, if it has sent one
        }
    }
    request.set_header(COUNTED, &limit.name);
}

/// The host of an address with a port, as it stands in texts of addresses alone.
fn host_of(address: &[u8]) -> &[u8] {
    match address.iter().rposition(|&b| b == b':') {
        Some(colon) => match &address[..colon] {
            [b'[', host @ .., b']'] => host,
            host => host,
        },
        None => address,
    }
}

fn number(text: Option<&[u8]>) -> Option<u128> {
    let n: u64 = std::str::from_utf8(text?).ok()?.parse().ok()?;
    Some(n.into())
}

/// Tells the client what the bucket says. Envoy's reset is when there is a token again, and 0
/// while there is one; ours is when the bucket is full. And so is its Retry-After, where a
/// request may need more than one.
pub fn tell(limit: &Limit, response: &mut dyn Response) {
    let (whole, left) = match (number(response.header(WHOLE)), number(response.header(LEFT))) {
        (Some(whole), Some(left)) => (whole, left),
        _ => return, // it was not counted: the judge has answered
    };
    if limit.cost != 1 && response.details() == Some(DENIED) {
        response.set_header(b"retry-after", text(limit.until(limit.cost, left)).as_bytes());
    }
    let (whole_text, left_text, full) = (text(whole), text(left), text(limit.until(whole, left)));
    if limit.words.ietf {
        response.set_header(b"ratelimit-limit", whole_text.as_bytes());
        response.set_header(b"ratelimit-remaining", left_text.as_bytes());
        response.set_header(b"ratelimit-reset", full.as_bytes());
    }
    if limit.words.x {
        response.set_header(RESET, full.as_bytes());
        return;
    }
    for name in [WHOLE, LEFT, RESET] {
        response.remove_header(name);
    }
}

fn text(n: u128) -> String {
    n.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Fake {
        headers: HashMap<Vec<u8>, Vec<u8>>,
        address: Option<&'static str>,
        details: Option<&'static str>,
    }

    impl Fake {
        fn with(headers: &[(&str, &str)]) -> Fake {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect();
            Fake {
                headers,
                ..Fake::default()
            }
        }

        fn has(&self) -> Vec<String> {
            let mut all: Vec<String> = self
                .headers
                .iter()
                .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
                .collect();
            all.sort();
            all
        }
    }

    impl Request for Fake {
        fn header(&self, name: &[u8]) -> Option<(&[u8], usize)> {
            self.headers.get(name).map(|value| (&value[..], 1))
        }
        fn set_header(&mut self, name: &[u8], value: &[u8]) {
            self.headers.insert(name.to_vec(), value.to_vec());
        }
        fn remove_header(&mut self, name: &[u8]) {
            self.headers.remove(name);
        }
        fn of_route(&self, _: &[u8], _: &[u8]) -> Option<&[u8]> {
            unreachable!()
        }
        fn metadata(&self, _: &[u8], _: &[u8]) -> Option<&[u8]> {
            unreachable!()
        }
        fn set_metadata(&mut self, _: &[u8], _: [(&[u8], &[u8]); 2]) {
            unreachable!()
        }
        fn set_state(&mut self, _: &[u8], _: &[u8]) {
            unreachable!()
        }
    }

    impl Client for Fake {
        fn address(&self) -> Option<&[u8]> {
            self.address.map(str::as_bytes)
        }
    }

    impl Response for Fake {
        fn header(&self, name: &[u8]) -> Option<&[u8]> {
            self.headers.get(name).map(|value| &value[..])
        }
        fn set_header(&mut self, name: &[u8], value: &[u8]) {
            self.headers.insert(name.to_vec(), value.to_vec());
        }
        fn remove_header(&mut self, name: &[u8]) {
            self.headers.remove(name);
        }
        fn details(&self) -> Option<&[u8]> {
            self.details.map(str::as_bytes)
        }
    }

    fn limit(cost: u32, words: &str, more: &str) -> Limit {
        Limit::parse(
            format!(
                "version 1\nlimit per-user\nrefill 10 1000\ncost {}\nwords {}\n{}",
                cost, words, more
            )
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn announces_in_place_of_what_the_client_says() {
        let mut r = Fake::with(&[("x-gatewright-counted", "forged"), ("x-gatewright-address", "forged")]);
        announce(&limit(1, "both", ""), &mut r);
        assert_eq!(r.has(), ["x-gatewright-address=forged", "x-gatewright-counted=per-user"]);
        for (address, host) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("", ""),
        ] {
            r.address = Some(address);
            announce(&limit(1, "both", "client x-gatewright-address\n"), &mut r);
            assert_eq!(
                r.has(),
                [
                    format!("x-gatewright-address={}", host),
                    "x-gatewright-counted=per-user".to_string()
                ]
            );
        }
        r.address = None;
        announce(&limit(1, "both", "client x-gatewright-address\n"), &mut r);
        assert_eq!(r.has(), ["x-gatewright-counted=per-user"]);
    }

    const SAID: &[(&str, &str)] = &[
        ("x-ratelimit-limit", "25"),
        ("x-ratelimit-remaining", "4"),
        ("x-ratelimit-reset", "0"),
        ("ratelimit-limit", "the backend's"),
        ("server", "x"),
    ];

    #[test]
    fn tells_in_the_words_of_the_config() {
        let ietf = ["ratelimit-limit=25", "ratelimit-remaining=4", "ratelimit-reset=3"];
        let x = ["x-ratelimit-limit=25", "x-ratelimit-remaining=4", "x-ratelimit-reset=3"];
        for (words, want) in [
            ("ietf", [&ietf[..], &["server=x"]].concat()),
            ("x", [&["ratelimit-limit=the backend's", "server=x"], &x[..]].concat()),
            ("both", [&ietf[..], &["server=x"], &x[..]].concat()),
            ("none", vec!["ratelimit-limit=the backend's", "server=x"]),
        ] {
            let mut r = Fake::with(SAID);
            tell(&limit(1, words, ""), &mut r);
            assert_eq!(r.has(), want, "{}", words);
        }
    }

    #[test]
    fn leaves_alone_what_was_not_counted() {
        for said in [
            &[("server", "x")][..],
            &[("x-ratelimit-limit", "25")],
            &[("x-ratelimit-limit", "many"), ("x-ratelimit-remaining", "4")],
            &[("x-ratelimit-limit", "25"), ("x-ratelimit-remaining", "-1")],
        ] {
            let mut r = Fake::with(said);
            let before = r.has();
            tell(&limit(2, "ietf", ""), &mut r);
            assert_eq!(r.has(), before);
        }
    }

    #[test]
    fn says_when_there_is_enough_for_a_request_that_needs_more_than_one() {
        for (cost, details, want) in [
            (1, Some("local_rate_limited"), None),
            (30, None, None),
            (30, Some("via_upstream"), None),
            (24, Some("local_rate_limited"), Some("retry-after=2")),
            (25, Some("local_rate_limited"), Some("retry-after=3")),
        ] {
            let mut r = Fake::with(SAID);
            r.details = details;
            tell(&limit(cost, "none", ""), &mut r);
            assert_eq!(
                r.has().into_iter().find(|h| h.starts_with("retry-after")).as_deref(),
                want,
                "{} {:?}",
                cost,
                details
            );
        }
    }
}
