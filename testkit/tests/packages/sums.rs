//! A checksum database for modules of Go: a tree of a few records, signed by a key of its own.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};
use testkit::registry::{Answer, Registry};

use crate::module::escaped;

/// The name it signs by, which is the public one's: no other is served.
const NAME: &str = "sum.golang.org";
/// Ed25519, in signed notes.
const ALGORITHM: u8 = 1;

/// The sums of one version.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) module: String,
    pub(crate) version: String,
    /// Lines as `go.sum` has them.
    pub(crate) lines: String,
}

/// The database.
pub(crate) struct Sums {
    key: Ed25519KeyPair,
    records: Vec<Record>,
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    digest(&SHA256, &parts.concat()).as_ref().to_vec()
}

/// Root of a tree of leaf hashes, as RFC 6962 has it.
fn root(leaves: &[Vec<u8>]) -> Vec<u8> {
    if let [leaf] = leaves {
        return leaf.clone();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    hash(&[&[1], &root(left), &root(right)])
}

impl Sums {
    pub(crate) fn of(records: Vec<Record>) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { key: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(), records }
    }

    fn typed_key(&self) -> Vec<u8> {
        [&[ALGORITHM], self.key.public_key().as_ref()].concat()
    }

    fn key_id(&self) -> Vec<u8> {
        hash(&[NAME.as_bytes(), b"\n", &self.typed_key()])[..4].to_vec()
    }

    /// What a client is given as `GOSUMDB` to trust it.
    pub(crate) fn verifier(&self) -> String {
        let id: String = self.key_id().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{NAME}+{id}+{}", BASE64_STANDARD.encode(self.typed_key()))
    }

    /// Serves it beneath a mirror.
    pub(crate) fn serve(&self, registry: &Registry, mirror: &str) {
        let at = |path: &str| format!("{mirror}/sumdb/{NAME}/{path}");
        let text = |body: String| Answer::new("text/plain; charset=utf-8", body);
        let leaves: Vec<Vec<u8>> =
            self.records.iter().map(|record| hash(&[&[0], record.lines.as_bytes()])).collect();
        let count = leaves.len();
        let root = BASE64_STANDARD.encode(root(&leaves));
        let tree = format!("go.sum database tree\n{count}\n{root}\n");
        let stamp = [self.key_id(), self.key.sign(tree.as_bytes()).as_ref().to_vec()].concat();
        let signed = format!("{tree}\n\u{2014} {NAME} {}\n", BASE64_STANDARD.encode(stamp));
        registry.serve(&at("supported"), text(String::new()));
        registry.serve(&at("latest"), text(signed.clone()));
        let tile = Answer::new("application/octet-stream", leaves.concat());
        registry.serve(&at(&format!("tile/8/0/000.p/{count}")), tile);
        for (id, Record { module, version, lines }) in self.records.iter().enumerate() {
            let path = at(&format!("lookup/{}@{}", escaped(module), escaped(version)));
            registry.serve(&path, text(format!("{id}\n{lines}\n{signed}")));
        }
    }
}
