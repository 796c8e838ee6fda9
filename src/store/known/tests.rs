//! The format byte by byte, and random use against a plain map.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const ROOMY: u64 = 64 << 20;

fn looks(n: u64) -> Looks {
    Looks {
        path: Hash([n as u8; 32]),
        size: 1_000 + n,
        mtime: 1_000_000_000,
        ctime: 1_100_000_000,
        device: 7,
        inode: n,
        mode: None,
    }
}

fn hash(n: u64) -> Hash {
    Hash(*blake3::hash(&n.to_be_bytes()).as_bytes())
}

/// An object of one file, and its hashes.
fn object(n: u64) -> (ObjectKey, Hash, Vec<Hash>) {
    let mut key = ObjectKey::new(1 << 19);
    key.push(&looks(n));
    (key, hash(n), (0..n % 5).map(|b| hash(b + n)).collect())
}

fn log_of(dir: &TempDir) -> PathBuf {
    dir.path().join("hashes")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn bytes_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(dir.path(), ROOMY);
    let (key, content, blocks) = object(1);
    known.keep_file(&looks(1), &Hash([0xaa; 32]));
    known.keep_object(&key, &content, &blocks);
    known.forget_file(&looks(1));
    known.save();
    let found = fs::read(log_of(&dir)).unwrap();
    let lines: Vec<String> = found.chunks(32).map(hex).collect();
    assert_eq!(lines, GOLDEN);

    // The keys are what the format's text says.
    let mut seen = Vec::from(b"file");
    seen.extend([1; 32]);
    for n in [7u64, 1, 1_001, 1_000_000_000, 1_100_000_000] {
        seen.extend(n.to_be_bytes());
    }
    assert_eq!(found[72..88], blake3::hash(&seen).as_bytes()[..16]);
    let whole = [&b"object"[..], &(1u64 << 19).to_be_bytes(), &seen[4..]].concat();
    assert_eq!(found[136..152], blake3::hash(&whole).as_bytes()[..16]);
}

const GOLDEN: [&str; 10] = [
    "4c4f4f504b4e5731000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000077838bcb861a3f92bd1804002213151aaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa655020d89e3f4024",
    "02000000000000017c716c441f45e771fcd5bc3f0bed9d3b68eae1066fca29e3",
    "236b08eb29b363fbe204ec65e3dcca8aa404c32e8080ad15c1ae9e9540792cc9",
    "68eae1066fca29e3236b08eb29b363fbe204ec65e3dcca8aa404c32e8080ad15",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0300000000000000077838bcb861a3f92bd18040022131510000000000000000",
    "00000000000000000000000000000000000000000000000061a52d543b6945cf",
];

#[test]
fn a_young_file_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(dir.path(), ROOMY);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ns = |back: u64| (now.as_ref().unwrap().as_nanos() as u64 - back * 1_000_000_000) as i64;
    for (back, kept) in [(0, false), (1, false), (3, true)] {
        let looks = Looks {
            mtime: ns(back),
            ..looks(back)
        };
        let mut key = ObjectKey::new(1_024);
        key.push(&self::looks(9));
        key.push(&looks);
        known.keep_file(&looks, &hash(1));
        known.keep_object(&key, &hash(1), &[]);
        assert_eq!(known.file(&looks).is_some(), kept, "{back} s ago");
        assert_eq!(known.object(&key).is_some(), kept, "{back} s ago");
    }
}

#[test]
fn another_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = [&b"LOOPKNW2"[..], &[1; 500]].concat();
    fs::write(log_of(&dir), &theirs).unwrap();
    let known = KnownHashes::at(dir.path(), ROOMY);
    known.keep_file(&looks(1), &hash(1));
    assert_eq!(known.file(&looks(1)), Some(hash(1)));
    known.save();
    assert_eq!(fs::read(log_of(&dir)).unwrap(), theirs);
}

#[test]
fn no_place_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let nowhere = KnownHashes::at(&dir.path().join("file/below"), ROOMY);
    for known in [nowhere, KnownHashes::none()] {
        known.keep_file(&looks(1), &hash(1));
        known.forget_file(&looks(1));
        known.save();
        assert_eq!(known.file(&looks(1)), None);
    }
}

#[test]
fn who_does_not_get_the_lock_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let lock = File::create(dir.path().join("hashes.lock")).unwrap();
    lock.lock().unwrap();
    let known = KnownHashes::at(dir.path(), 64 << 10);
    known.keep_file(&looks(1), &hash(1));
    known.save();
    assert!(!log_of(&dir).exists());
    assert_eq!(known.file(&looks(1)), Some(hash(1)));
    // What waits is bounded.
    for n in 0..5_000 {
        known.keep_file(&looks(n), &hash(n));
    }
    let waiting = known.0.as_ref().unwrap().look().waiting.len();
    assert!(waiting <= 48 << 10, "{waiting}");
    assert_eq!(known.file(&looks(4_999)), Some(hash(4_999)));
    lock.unlock().unwrap();
    known.save();
    let other = KnownHashes::at(dir.path(), 64 << 10);
    assert_eq!(other.file(&looks(4_999)), Some(hash(4_999)));
}

#[test]
fn clones_and_threads_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(dir.path(), ROOMY);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let known = known.clone();
            scope.spawn(move || {
                for n in (thread * 500)..(thread * 500 + 700) {
                    known.keep_file(&looks(n), &hash(n));
                    assert_eq!(known.file(&looks(n)), Some(hash(n)));
                    if n % 100 == 0 {
                        known.save();
                    }
                }
            });
        }
    });
    assert!((0..2_200).all(|n| known.file(&looks(n)) == Some(hash(n))));
    drop(known);
    let again = KnownHashes::at(dir.path(), ROOMY);
    assert!((0..2_200).all(|n| again.file(&looks(n)) == Some(hash(n))));
}

#[cfg(unix)]
#[test]
fn what_is_used_stays_longest() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 64 << 10;
    let mut rewritten = 0;
    let mut inode = None;
    for round in 0..100 {
        let known = KnownHashes::at(dir.path(), limit);
        known.keep_file(&looks(0), &hash(0));
        (0..100).for_each(|n| known.keep_file(&looks(1 + round * 100 + n), &hash(n)));
        assert_eq!(known.file(&looks(0)), Some(hash(0)), "round {round}");
        assert_eq!(known.file(&looks(1 + round * 100)), Some(hash(0)));
        drop(known);
        let meta = fs::metadata(log_of(&dir)).unwrap();
        assert!(meta.len() <= limit);
        let now = std::os::unix::fs::MetadataExt::ino(&meta);
        rewritten += usize::from(inode.replace(now) != Some(now));
    }
    // 640 kB in all, of which each rewriting makes room for 16 kB.
    assert!(rewritten <= 41, "{rewritten}");
    let known = KnownHashes::at(dir.path(), limit);
    assert_eq!(known.file(&looks(1)), None);
}

#[test]
fn using_a_record_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 64 << 10;
    let known = KnownHashes::at(dir.path(), limit);
    known.keep_file(&looks(0), &hash(0));
    known.keep_file(&looks(1), &hash(1));
    for n in 2..20_000 {
        known.keep_file(&looks(n), &hash(n));
        assert_eq!(known.file(&looks(0)), Some(hash(0)), "after {n}");
    }
    assert_eq!(known.file(&looks(1)), None);
}

#[test]
fn outdated_records_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(dir.path(), ROOMY);
    for n in 0..10_000 {
        known.keep_file(&looks(n % 10), &hash(n));
        if n % 100 == 0 {
            known.save();
        }
    }
    known.save();
    let len = fs::metadata(log_of(&dir)).unwrap().len();
    assert!(len < 80 << 10, "{len}");
    assert!((0..10).all(|n| known.file(&looks(n)) == Some(hash(9_990 + n))));
}

#[derive(Clone, Debug)]
enum Op {
    File(u64, u64),
    Object(u64),
    ForgetFile(u64),
    ForgetObject(u64),
    Save,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let few = 0u64..12;
    prop_oneof![
        8 => (few.clone(), 0u64..3).prop_map(|(n, v)| Op::File(n, v)),
        4 => few.clone().prop_map(Op::Object),
        2 => few.clone().prop_map(Op::ForgetFile),
        1 => few.prop_map(Op::ForgetObject),
        2 => Just(Op::Save),
        2 => Just(Op::Reopen),
    ]
}

#[derive(Default)]
struct Naive {
    files: HashMap<u64, u64>,
    objects: HashSet<u64>,
}

fn apply(op: &Op, known: &mut KnownHashes, dir: &TempDir, limit: u64, naive: &mut Naive) {
    match *op {
        Op::File(n, v) => {
            known.keep_file(&looks(n), &hash(v));
            naive.files.insert(n, v);
        }
        Op::Object(n) => {
            let (key, content, blocks) = object(n);
            known.keep_object(&key, &content, &blocks);
            naive.objects.insert(n);
        }
        Op::ForgetFile(n) => {
            known.forget_file(&looks(n));
            naive.files.remove(&n);
        }
        Op::ForgetObject(n) => {
            known.forget_object(&object(n).0);
            naive.objects.remove(&n);
        }
        Op::Save => known.save(),
        Op::Reopen => {
            *known = KnownHashes::none();
            *known = KnownHashes::at(dir.path(), limit);
        }
    }
}

/// What is found of all that may be there, in the naive map's terms.
fn found(known: &KnownHashes) -> Naive {
    let mut naive = Naive::default();
    for n in 0..12 {
        if let Some(found) = known.file(&looks(n)) {
            let value = (0..3).find(|v| hash(*v) == found);
            naive
                .files
                .insert(n, value.expect("a hash that was never given"));
        }
        let (key, content, blocks) = object(n);
        if let Some(found) = known.object(&key) {
            assert_eq!(found, (content, blocks));
            naive.objects.insert(n);
        }
    }
    naive
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_a_map(ops in prop::collection::vec(op(), 0..120)) {
        let dir = tempfile::tempdir().unwrap();
        let mut known = KnownHashes::at(dir.path(), ROOMY);
        let mut naive = Naive::default();
        for op in &ops {
            apply(op, &mut known, &dir, ROOMY, &mut naive);
            let there = found(&known);
            prop_assert_eq!(&there.files, &naive.files);
            prop_assert_eq!(&there.objects, &naive.objects);
        }
    }

    #[test]
    fn a_small_one_knows_nothing_wrong(
        ops in prop::collection::vec(op(), 0..120),
        limit in 0u64..3_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut known = KnownHashes::at(dir.path(), limit);
        let mut naive = Naive::default();
        for op in &ops {
            apply(op, &mut known, &dir, limit, &mut naive);
            let there = found(&known);
            prop_assert!(there.files.iter().all(|(n, v)| naive.files.get(n) == Some(v)));
            prop_assert!(there.objects.is_subset(&naive.objects));
            let len = fs::metadata(log_of(&dir)).map_or(0, |m| m.len());
            prop_assert!(len <= limit, "{} bytes", len);
        }
    }

    #[test]
    fn a_file_cut_or_changed_gives_what_holds(
        ops in prop::collection::vec(op(), 1..60),
        place in any::<prop::sample::Index>(),
        change in prop::option::of(1u8..),
        more in prop::collection::vec(op(), 0..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut known = KnownHashes::at(dir.path(), ROOMY);
        let mut given: HashMap<u64, HashSet<u64>> = HashMap::new();
        let mut naive = Naive::default();
        for op in &ops {
            apply(op, &mut known, &dir, ROOMY, &mut naive);
            if let Op::File(n, v) = op {
                given.entry(*n).or_default().insert(*v);
            }
        }
        drop(known);
        let Ok(bytes) = fs::read(log_of(&dir)) else { return Ok(()) };
        let at = place.index(bytes.len());
        let mut broken = bytes.clone();
        match change {
            Some(bits) => broken[at] ^= bits,
            None => broken.truncate(at),
        }
        fs::write(log_of(&dir), &broken).unwrap();
        let mut known = KnownHashes::at(dir.path(), ROOMY);
        let there = found(&known);
        // Records before the place hold, those after it are gone.
        let mut expected = HashMap::new();
        let whole = record::scan(&bytes[64..], bytes.len() as u64 - 64, |offset, head, record| {
            if at >= 64 && offset + record.len() as u64 + 64 <= at as u64 {
                match head.kind {
                    Kind::Forgotten => expected.remove(&head.key),
                    _ => expected.insert(head.key, head.hash),
                };
            }
            Ok(())
        });
        prop_assert_eq!(whole.unwrap(), bytes.len() as u64 - 64);
        for n in 0..12 {
            let key = file_key(&looks(n));
            let there = there.files.get(&n);
            prop_assert_eq!(there.map(|v| hash(*v)), expected.get(&key).copied());
            prop_assert!(there.is_none_or(|v| given[&n].contains(v)));
        }
        // It can be used on, whatever had happened to it, but for another version's.
        if at >= 8 {
            let mut naive = there;
            for op in more.iter().chain([&Op::Reopen]) {
                apply(op, &mut known, &dir, ROOMY, &mut naive);
            }
            let there = found(&known);
            prop_assert_eq!(&there.files, &naive.files);
            prop_assert_eq!(&there.objects, &naive.objects);
        }
    }

    #[test]
    fn two_writers_lose_nothing(
        ops in prop::collection::vec((op(), any::<bool>()), 0..150),
        limit in prop_oneof![Just(ROOMY), 20_000u64..30_000],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut both = [(); 2].map(|()| KnownHashes::at(dir.path(), limit));
        let mut given: HashMap<u64, HashSet<u64>> = HashMap::new();
        let mut forgotten = HashSet::new();
        for (op, second) in &ops {
            match op {
                Op::File(n, v) => {
                    given.entry(*n).or_default().insert(*v);
                }
                Op::ForgetFile(n) => {
                    forgotten.insert(*n);
                }
                _ => {}
            }
            let known = &mut both[usize::from(*second)];
            apply(op, known, &dir, limit, &mut Naive::default());
            found(known);
        }
        drop(both);
        let there = found(&KnownHashes::at(dir.path(), limit));
        for n in 0..12 {
            match there.files.get(&n) {
                Some(v) => prop_assert!(given[&n].contains(v)),
                None => prop_assert!(!given.contains_key(&n) || forgotten.contains(&n)),
            }
        }
    }
}
