//! What a library answers.

use super::*;

fn description(name: &str, blocks: u64) -> Description {
    Description::pretend(name, blocks * 4 * 1024, 1024, 4).unwrap()
}

/// Puts a whole block in; what the last symbol did.
fn fill(library: &mut Library, key: ObjectKey, block: BlockNo) -> Insert {
    let symbols = library.get(key).unwrap().geometry().symbols(block);
    let insert = |symbol| library.insert(key, block, symbol, 0);
    (0..symbols).map(insert).last().unwrap()
}

#[test]
fn a_whole_object_is_verified_and_takes_nothing() {
    let mut library = Library::new();
    let key = library.add_whole(description("film", 5));
    let object = library.get(key).unwrap();
    let blocks = object.geometry().blocks();
    assert!(object.has_ended() && object.is_opened() && object.is_all_verified());
    assert_eq!(
        (object.blocks_lacking(), object.bytes_verified()),
        (0, 20_480)
    );
    assert!(object.holdings().is_whole());
    assert_eq!(library.next_verified(key, 2, blocks), Some(2));
    assert_eq!(library.next_verified(key, blocks, blocks), None);
    assert_eq!(library.insert(key, 0, 0, 0), Insert::Duplicate);
    assert!(!library.finish(key));
}

#[test]
fn a_block_that_is_here_is_not_yet_verified() {
    let mut library = Library::new();
    let key = library.add_wanted(description("film", 3));
    let last = library.get(key).unwrap().geometry().blocks() - 1;
    assert_eq!(fill(&mut library, key, last), Insert::Completed);
    assert!(library.get(key).unwrap().holdings().is_complete(last));
    assert!(!library.is_verified(key, last));
    assert_eq!(library.verify(Time::ZERO, key, last), []);
    assert!(library.is_verified(key, last));
    assert_eq!(library.next_verified(key, 0, last), None);
    assert_eq!(library.next_verified(key, 0, last + 1), Some(last));
    library.unverify(key, last);
    assert!(!library.is_verified(key, last));
    assert!(library.get(key).unwrap().holdings().is_absent(last));
    for block in 0..=last {
        assert!(!library.finish(key));
        fill(&mut library, key, block);
        library.verify(Time::ZERO, key, block);
    }
    assert!(library.finish(key) && !library.finish(key));
    library.end(key, Outcome::Complete);
    assert!(library.get(key).unwrap().has_ended());
}

#[test]
fn what_was_withdrawn_is_not_found_and_comes_again_as_another() {
    let mut library = Library::new();
    let key = library.add_wanted(description("film", 3));
    let coding = library.get(key).unwrap().coding();
    assert_eq!(library.find(coding), Some(key));
    library.withdraw(Time::ZERO, key);
    assert_eq!(
        (library.find(coding), library.latest(coding)),
        (None, Some(key))
    );
    let again = library.add_wanted(description("film", 3));
    assert_ne!(again, key);
    assert_eq!(library.find(coding), Some(again));
    assert_eq!((library.len(), library.iter().count()), (2, 2));
}
