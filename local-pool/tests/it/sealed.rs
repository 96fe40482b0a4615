//! Texts that only the pool understands.

use std::collections::BTreeMap;

use local_pool::sealed::SealingKey;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

#[test]
fn what_json_cannot_hold_is_not_sealed() {
    let key = SealingKey::from_octets([7; 32]).unwrap();
    let rng = &mut UnwrapErr(SysRng);
    let by_name = BTreeMap::from([("one".to_owned(), 1)]);
    let sealed = key.seal(&by_name, rng).unwrap();
    assert_eq!(key.open::<BTreeMap<String, i32>>(&sealed), Some(by_name));
    // A name in JSON is a text.
    let by_list = BTreeMap::from([(vec![1, 2], 1)]);
    assert_eq!(key.seal(&by_list, rng).unwrap_err().to_string(), "cannot seal a text");
}
