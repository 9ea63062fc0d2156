//! What Gatewright has told of a request that it has let pass (authz/remembered.go), a line
//! for each thing:
//!
//! ```text
//! epoch EPOCH
//! until MILLISECONDS
//! user TEXT
//! tenant TEXT
//! set NAME VALUE
//! remove NAME
//! ```

/// Verdict lets whoever shows the same credential to the same policy pass, as the same
/// caller.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// By what it was judged; see `table::Policy`.
    pub epoch: Vec<u8>,
    /// From when on it holds no more, in milliseconds of Unix time.
    pub until: u64,
    /// Who the caller is, for the log; empty is nobody.
    pub user: Vec<u8>,
    pub tenant: Vec<u8>,
    /// Headers that the request gets, and that it must not have.
    pub set: Vec<(Vec<u8>, Vec<u8>)>,
    pub remove: Vec<Vec<u8>>,
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&b| b == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

impl Verdict {
    /// Reads one. None: it is nothing that can be remembered.
    pub fn parse(text: &[u8]) -> Option<Verdict> {
        let mut v = Verdict::default();
        for line in text.split(|&b| b == b'\n').filter(|l| !l.is_empty()) {
            match split(line) {
                (b"epoch", epoch) => v.epoch = epoch.to_vec(),
                (b"until", until) => v.until = std::str::from_utf8(until).ok()?.parse().ok()?,
                (b"user", user) => v.user = user.to_vec(),
                (b"tenant", tenant) => v.tenant = tenant.to_vec(),
                (b"set", rest) => {
                    let (name, value) = split(rest);
                    v.set.push((name.to_vec(), value.to_vec()));
                }
                (b"remove", name) => v.remove.push(name.to_vec()),
                _ => return None,
            }
        }
        let named = v.set.iter().map(|(name, _)| name).chain(&v.remove).all(|name| !name.is_empty());
        (named && !v.epoch.is_empty() && v.until > 0).then_some(v)
    }

    /// How many bytes it takes, about.
    pub fn size(&self) -> usize {
        let set: usize = self.set.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        let remove: usize = self.remove.iter().map(|name| name.len() + 32).sum();
        self.epoch.len() + self.user.len() + self.tenant.len() + set + remove + 160
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gatewright_writes() {
        let v =
            Verdict::parse(b"epoch e1\nuntil 1700000000000\nuser a b\ntenant t\nset x-user-id a b\nset x-empty \nremove authorization\n")
                .unwrap();
        assert_eq!(
            (v.epoch, v.until, v.user, v.tenant),
            (b"e1".to_vec(), 1_700_000_000_000, b"a b".to_vec(), b"t".to_vec())
        );
        assert_eq!(v.set, [(b"x-user-id".to_vec(), b"a b".to_vec()), (b"x-empty".to_vec(), vec![])]);
        assert_eq!(v.remove, [b"authorization".to_vec()]);
    }

    #[test]
    fn remembers_nothing_else() {
        for text in [
            &b""[..],
            b"until 5\n",
            b"epoch e\n",
            b"epoch e\nuntil soon\n",
            b"epoch e\nuntil -1\n",
            b"epoch e\nuntil 5\nset \n",
            b"epoch e\nuntil 5\nremove \n",
            b"epoch e\nuntil 5\nsomething new\n",
        ] {
            assert_eq!(Verdict::parse(text), None, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
