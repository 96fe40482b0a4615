//! The file that the pool is kept in, and what is wrong with one.

use std::fs;
use std::path::{Path, PathBuf};

use local_pool::pool::PoolState;
use local_pool::state::StateFile;
use parking_lot::Mutex;
use serde_json::json;

use crate::stage::{ISSUER, Stage};

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn only_a_file_that_is_not_there_holds_nothing() {
    let folder = folder("state-load");
    assert!(StateFile::new(folder.join("state.json")).load().unwrap().is_none());
    // What cannot be read may be a pool all the same: none is begun anew in its place.
    let why = fs::read(&folder).unwrap_err().to_string();
    assert_eq!(StateFile::new(folder).load().unwrap_err(), why);
}

#[test]
fn what_is_in_the_way_of_a_new_file_is_told_and_what_was_not_written_is_written_later() {
    let folder = folder("state-save");
    let file = StateFile::new(folder.join("state.json"));
    let pool = Mutex::new(Stage::default().pool);
    let in_the_way = folder.join("state.json.new");
    fs::create_dir(&in_the_way).unwrap();
    // Why it cannot be taken away says more than that it is there.
    let why = fs::remove_file(&in_the_way).unwrap_err().to_string();
    assert_eq!(file.save(&pool), Err(why));
    assert!(file.load().unwrap().is_none());
    fs::remove_dir(&in_the_way).unwrap();
    file.save(&pool).unwrap();
    assert!(file.load().unwrap().is_some());
}

#[test]
fn a_state_whose_keys_are_none_is_refused() {
    let state = serde_json::to_value(Stage::default().pool.to_state().unwrap()).unwrap();
    for (place, why) in [
        ("/refresh_key", "the refresh key is not 32 octets"),
        ("/signing_keys/0", "cannot make or use an RSA key"),
        ("/signing_keys/1", "cannot make or use an RSA key"),
    ] {
        let mut state = state.clone();
        *state.pointer_mut(place).unwrap() = json!("AAAA");
        let state: PoolState = serde_json::from_value(state).unwrap();
        let error = state.restore(Stage::default().pool, ISSUER.to_owned()).err().unwrap();
        assert_eq!(error, why, "{place}");
    }
}
