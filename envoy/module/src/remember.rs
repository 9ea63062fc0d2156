//! The filter that remembers. In front of the judge (Envoy's ext_authz, which asks Gatewright)
//! it lets requests pass that show a credential to a policy by which Gatewright has let pass
//! who shows it, until that holds no more; all others go on to the judge, and of those that
//! it lets pass the filter keeps, on the way back, what Gatewright tells of them.
//!
//! It decides nothing: what it does to a request is what Gatewright's own answer did to an
//! earlier one. See docs/decisions/0049.

use crate::counted::COUNTED;
use crate::host::Request;
use crate::memory::{Key, Memory};
use crate::table::Table;
use crate::verdict::Verdict;

/// Where Gatewright's filters speak to each other; see package xds.
const ROUTES: &[u8] = b"gatewright";
const PLACE: &[u8] = b"place";
const VERDICTS: &[u8] = b"envoy.filters.http.ext_authz";
const REMEMBER: &[u8] = b"remember";
const POLICY: &[u8] = b"policy";

/// What says that a request was let pass inside Envoy, and by which policy: the judge, the log
/// and Gatewright's own records look for it there, whichever filter it was.
const PLACEMENTS: &[u8] = b"envoy.filters.http.rbac";
const RESULT: &[u8] = b"place_shadow_engine_result";
const ALLOWED: &[u8] = b"allowed";
const LET_PASS_BY: &[u8] = b"place_shadow_effective_policy_id";

const USER: &[u8] = b"gatewright.user";
const TENANT: &[u8] = b"gatewright.tenant";
const CONFIG: &[u8] = b"gatewright.config";

const CREDENTIAL: &[u8] = b"authorization";

/// Asked is what became of a request in front of the judge.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// It was let pass.
    No,
    /// It goes on to the judge. What that tells of it is to be remembered under a key, if
    /// there is one.
    Yes(Option<Key>),
}

/// Lets a request pass that may, at a time in milliseconds.
pub fn find(table: &Table, memory: &Memory, request: &mut dyn Request, now: u64) -> Asked {
    let (hash, policy) = match request.of_route(ROUTES, PLACE).and_then(|hash| table.policies.get_key_value(hash)) {
        Some((hash, policy)) if !policy.epoch.is_empty() => (hash, policy),
        _ => return Asked::Yes(None),
    };
    let key = match request.header(CREDENTIAL) {
        Some((credential, 1)) => Key::new(hash, credential),
        _ => None,
    };
    let key = match key {
        Some(key) => key,
        None => return Asked::Yes(None),
    };
    if policy.absent.iter().any(|name| request.header(name).is_some()) {
        return Asked::Yes(None);
    }
    if !policy.limit.is_empty() && request.header(COUNTED) != Some((&policy.limit[..], 1)) {
        return Asked::Yes(None); // nobody would count it
    }
    let verdict = match memory.find(&key) {
        Some(v) if v.epoch == policy.epoch && now < v.until => v,
        _ => return Asked::Yes(Some(key)),
    };
    for (name, value) in &verdict.set {
        request.set_header(name, value);
    }
    for name in &verdict.remove {
        request.remove_header(name);
    }
    for (name, text) in [(USER, &verdict.user), (TENANT, &verdict.tenant), (CONFIG, &table.config)] {
        if !text.is_empty() {
            request.set_state(name, text);
        }
    }
    // Last: nothing is left out where this is said.
    request.set_metadata(PLACEMENTS, [(LET_PASS_BY, hash), (RESULT, ALLOWED)]);
    Asked::No
}

/// Keeps what Gatewright has told of a request that it has let pass.
pub fn remember(memory: &Memory, request: &dyn Request, key: Key) {
    if !request.metadata(VERDICTS, POLICY).map_or(false, |policy| key.is_of(policy)) {
        return; // it was judged by another: the route has changed meanwhile
    }
    if let Some(v) = request.metadata(VERDICTS, REMEMBER).and_then(Verdict::parse) {
        memory.put(key, v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Default, Clone, Debug, PartialEq)]
    struct Fake {
        headers: HashMap<Vec<u8>, Vec<Vec<u8>>>,
        route: HashMap<(Vec<u8>, Vec<u8>), Vec<u8>>,
        metadata: HashMap<(Vec<u8>, Vec<u8>), Vec<u8>>,
        state: HashMap<Vec<u8>, Vec<u8>>,
    }

    impl Request for Fake {
        fn header(&self, name: &[u8]) -> Option<(&[u8], usize)> {
            self.headers.get(name).map(|all| (&all[0][..], all.len()))
        }
        fn set_header(&mut self, name: &[u8], value: &[u8]) {
            self.headers.insert(name.to_vec(), vec![value.to_vec()]);
        }
        fn remove_header(&mut self, name: &[u8]) {
            self.headers.remove(name);
        }
        fn of_route(&self, namespace: &[u8], key: &[u8]) -> Option<&[u8]> {
            self.route.get(&(namespace.to_vec(), key.to_vec())).map(|v| &v[..])
        }
        fn metadata(&self, namespace: &[u8], key: &[u8]) -> Option<&[u8]> {
            self.metadata.get(&(namespace.to_vec(), key.to_vec())).map(|v| &v[..])
        }
        fn set_metadata(&mut self, namespace: &[u8], texts: [(&[u8], &[u8]); 2]) {
            for (key, value) in texts {
                self.metadata.insert((namespace.to_vec(), key.to_vec()), value.to_vec());
            }
        }
        fn set_state(&mut self, name: &[u8], value: &[u8]) {
            self.state.insert(name.to_vec(), value.to_vec());
        }
    }

    fn request(headers: &[(&str, &str)]) -> Fake {
        let mut f = Fake::default();
        f.route.insert((ROUTES.to_vec(), PLACE.to_vec()), b"abc".to_vec());
        for (name, value) in headers {
            f.headers
                .entry(name.as_bytes().to_vec())
                .or_default()
                .push(value.as_bytes().to_vec());
        }
        f
    }

    fn table(text: &str) -> Table {
        Table::parse(format!("version 1\nconfig c1\n{}\n", text).as_bytes()).unwrap()
    }

    const TOLD: &str = "epoch e1\nuntil 1000\nuser alice\nset x-user-id alice\nremove x-tenant-id\nremove authorization\n";
    const SHOWN: &[(&str, &str)] = &[("authorization", "Bearer t"), ("x-tenant-id", "forged")];

    /// A request that was asked about, and the answer to which is remembered.
    fn learn(table: &Table, memory: &Memory, told: &str, policy: &str) {
        let mut asked = request(SHOWN);
        let key = match find(table, memory, &mut asked, 0) {
            Asked::Yes(Some(key)) => key,
            other => panic!("{:?}", other),
        };
        assert_eq!(asked, request(SHOWN), "a request that is asked about is left as it is");
        asked.set_metadata(VERDICTS, [(POLICY, policy.as_bytes()), (REMEMBER, told.as_bytes())]);
        remember(memory, &asked, key);
    }

    #[test]
    fn does_what_the_answer_did() {
        let (t, m) = (table("policy abc e1 - -"), Memory::new());
        learn(&t, &m, TOLD, "abc");
        let mut r = request(SHOWN);
        assert_eq!(find(&t, &m, &mut r, 999), Asked::No);
        assert_eq!(r.headers, request(&[("x-user-id", "alice")]).headers);
        assert_eq!(r.metadata(PLACEMENTS, RESULT), Some(ALLOWED));
        assert_eq!(r.metadata(PLACEMENTS, LET_PASS_BY), Some(&b"abc"[..]));
        assert_eq!(r.state[USER], b"alice");
        assert_eq!(r.state[CONFIG], b"c1");
        assert!(!r.state.contains_key(TENANT));
    }

    #[test]
    fn asks_about_all_else() {
        let t = table("policy abc e1 - x-api-key");
        let m = Memory::new();
        learn(&t, &m, TOLD, "abc");
        let asked = |t: &Table, r: &Fake, now: u64, why: &str| {
            let mut seen = r.clone();
            let answer = find(t, &m, &mut seen, now);
            assert!(matches!(answer, Asked::Yes(_)), "{}: {:?}", why, answer);
            assert_eq!(&seen, r, "{}: it is left as it is", why);
        };
        asked(&t, &request(SHOWN), 1000, "the verdict holds no more");
        asked(&t, &request(&[]), 0, "no credential");
        asked(&t, &request(&[("authorization", "Bearer T")]), 0, "another credential");
        asked(
            &t,
            &request(&[("authorization", "Bearer t"), ("authorization", "Bearer t")]),
            0,
            "two of them",
        );
        asked(
            &t,
            &request(&[("authorization", "Bearer t"), ("x-api-key", "k")]),
            0,
            "a credential of another kind",
        );
        asked(
            &t,
            &request(&[("authorization", "Bearer t"), ("x-api-key", "")]),
            0,
            "and an empty one",
        );
        let mut elsewhere = request(SHOWN);
        elsewhere.route.clear();
        asked(&t, &elsewhere, 0, "a route without a policy");
        elsewhere.route.insert((ROUTES.to_vec(), PLACE.to_vec()), b"def".to_vec());
        asked(&t, &elsewhere, 0, "a policy that is not known");
        asked(
            &table("policy abc e2 - x-api-key"),
            &request(SHOWN),
            0,
            "what it was judged by has changed",
        );
        asked(&table("policy abc - - x-api-key"), &request(SHOWN), 0, "nothing can be judged");
        asked(&table("policy abc e1 per-user -"), &request(SHOWN), 0, "nobody counts it");
        let mut counted = request(SHOWN);
        counted.set_header(COUNTED, b"another");
        asked(&table("policy abc e1 per-user -"), &counted, 0, "another limit counts it");
        counted.set_header(COUNTED, b"per-user");
        assert_eq!(find(&table("policy abc e1 per-user -"), &m, &mut counted, 0), Asked::No);
    }

    #[test]
    fn remembers_what_was_told_of_that_policy_alone() {
        let t = table("policy abc e1 - -");
        for (told, policy) in [(TOLD, "def"), (TOLD, ""), (TOLD, "ab"), ("", "abc"), ("until 5\n", "abc")] {
            let m = Memory::new();
            learn(&t, &m, told, policy);
            assert!(
                matches!(find(&t, &m, &mut request(SHOWN), 0), Asked::Yes(Some(_))),
                "{:?} of {:?}",
                told,
                policy
            );
        }
    }
}
