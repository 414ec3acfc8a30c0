use std::cmp::Ordering;

use arrow::datatypes::i256;
use serde_json::{Value as Json, json};

use super::*;

fn predicate(json: &Json) -> Predicate {
    Predicate::parse(json, "f").unwrap_or_else(|error| panic!("{json}: {error}")).expect("conditions")
}

fn truth(condition: Json, value: Value<'_>) -> Truth {
    predicate(&json!([condition])).truth(|_| value)
}

#[test]
fn comparisons_follow_the_value() {
    use Truth::{False, True, Unknown};
    use Value as V;
    let big = 9_007_199_254_740_993_i128;
    let noon = 19_737 * DAY_NANOS + DAY_NANOS / 2;
    for (test, literal, value, expected) in [
        ("=", json!(5), V::Integer(5), True),
        ("=", json!("5"), V::Integer(5), True),
        ("=", json!(5.0), V::Integer(5), True),
        (">", json!(4.5), V::Integer(5), True),
        ("<", json!(-4.5), V::Integer(-4), False),
        ("<", json!(-4.5), V::Integer(-5), True),
        ("=", json!(big as i64), V::Integer(big), True),
        ("=", json!(big as i64), V::Integer(big - 1), False),
        ("=", json!(u64::MAX), V::Integer(u64::MAX.into()), True),
        ("<", json!("1e400"), V::Integer(i128::MAX), True),
        (">", json!("-1e400"), V::Integer(i128::MIN), True),
        ("=", json!(0.1), V::Double(0.1), True),
        ("=", json!(0.1), V::Single(0.1), True),
        ("<", json!(0.1), V::Single(0.1), False),
        ("=", json!(0), V::Double(-0.0), True),
        ("=", json!(1), V::Double(f64::NAN), False),
        ("!=", json!(1), V::Double(f64::NAN), True),
        ("<", json!(1), V::Double(f64::NAN), False),
        ("<", json!("1e400"), V::Double(f64::MAX), True),
        ("=", json!(12.5), V::Decimal(i256::from_i128(1250), 2), True),
        ("<", json!("12.505"), V::Decimal(i256::from_i128(1250), 2), True),
        (">", json!("-12.505"), V::Decimal(i256::from_i128(-1250), 2), True),
        ("=", json!(1200), V::Decimal(i256::from_i128(12), -2), True),
        (
            "=",
            json!("0.1234567890123456789012345678901234567"),
            V::Decimal(i256::from_string("1234567890123456789012345678901234567").expect("digits"), 37),
            True,
        ),
        ("=", json!(100), V::Digits(b"1e2"), True),
        ("<", json!(10), V::Digits(b"9"), True),
        ("=", json!("12345678901234567890123"), V::Digits(b"12345678901234567890123.0"), True),
        ("<", json!("12345678901234567890123"), V::Digits(b"12345678901234567890122.9"), True),
        ("=", json!(1), V::Digits(b"one"), Unknown),
        ("=", json!("a"), V::Text(b"a"), True),
        ("<", json!("b"), V::Text(b"a\xff"), True),
        ("<", json!("10"), V::Text(b"9"), False),
        ("<", json!(10), V::Text(b"9"), True),
        (">=", json!(2024), V::Text(b"2024"), True),
        (">=", json!(2024), V::Text(b"x"), Unknown),
        ("=", json!(true), V::Boolean(true), True),
        ("=", json!("true"), V::Boolean(true), True),
        ("<", json!(true), V::Boolean(false), True),
        ("=", json!(1), V::Boolean(true), Unknown),
        ("=", json!("2024-01-15"), V::Instant(19_737 * DAY_NANOS), True),
        ("=", json!("2024-01-15T12:00:00Z"), V::Instant(noon), True),
        ("=", json!("2024-01-15 14:00+02:00"), V::Instant(noon), True),
        ("=", json!("2024-01-15T07:00:00-0500"), V::Instant(noon), True),
        (">", json!("2024-01-15T11:59:59.999999999"), V::Instant(noon), True),
        ("<", json!("1969-12-31"), V::Instant(-2 * DAY_NANOS), True),
        ("=", json!("soon"), V::Instant(noon), Unknown),
        ("=", json!("12:30"), V::Time(45_000_000_000_000), True),
        ("=", json!("x"), V::Other, Unknown),
        ("=", json!(1), V::Null, Unknown),
        ("!=", json!(1), V::Null, Unknown),
        ("in", json!([1, 2.5, "a"]), V::Integer(1), True),
        ("in", json!([1, 2]), V::Integer(3), False),
        ("not in", json!([1, 2]), V::Integer(3), True),
        ("not in", json!([1, 2]), V::Null, Unknown),
        ("not in", json!(["a", "b"]), V::Text(b"b"), False),
        ("not in", json!([1]), V::Double(f64::NAN), True),
        ("in", json!([1]), V::Boolean(true), Unknown),
    ] {
        assert_eq!(truth(json!(["c", test, literal]), value), expected, "{value:?} {test} {literal}");
    }
    for (test, value, expected) in [
        ("is null", V::Null, True),
        ("is null", V::Other, False),
        ("is not null", V::Null, False),
        ("IS  NOT NULL", V::Double(f64::NAN), True),
    ] {
        assert_eq!(truth(json!(["c", test]), value), expected, "{value:?} {test}");
    }
}

#[test]
fn long_lists_find_what_short_ones_find() {
    let numbers: Vec<i64> = (0..100).map(|number| number * 7).collect();
    let texts: Vec<String> = numbers.iter().map(|number| format!("t{number}")).collect();
    for number in -5..705 {
        let expected = Truth::from(number % 7 == 0 && (0..700).contains(&number));
        assert_eq!(truth(json!(["c", "in", numbers]), Value::Integer(number)), expected);
        let text = format!("t{number}");
        assert_eq!(truth(json!(["c", "in", texts]), Value::Text(text.as_bytes())), expected);
        assert_eq!(
            truth(json!(["c", "not in", numbers]), Value::Digits(number.to_string().as_bytes())),
            expected.not()
        );
    }
}

#[test]
fn alternatives_and_conditions_combine_as_three_valued_logic_has_it() {
    let one = predicate(&json!([["a", "=", 1], ["b", "=", 2]]));
    let two = predicate(&json!([[["a", "=", 1]], [["b", "=", 2], ["c", "is not null"]]]));
    let of = |predicate: &Predicate, a: Value<'static>, b: Value<'static>| {
        predicate.truth(|column| if column == "a" { a } else { b })
    };
    let (yes, no, null) = (Value::Integer(1), Value::Integer(9), Value::Null);
    assert_eq!(of(&one, yes, Value::Integer(2)), Truth::True);
    assert_eq!(of(&one, yes, null), Truth::Unknown);
    assert_eq!(of(&one, no, null), Truth::False);
    assert_eq!(of(&two, yes, null), Truth::True);
    assert_eq!(of(&two, no, Value::Integer(2)), Truth::True);
    assert_eq!(of(&two, null, no), Truth::Unknown);
    assert_eq!(two.columns(), ["a", "b", "c"]);
}

#[test]
fn what_is_written_is_read_back() {
    for json in [
        json!([[["a", "=", 1], ["b", "not in", ["x", 2, true]]], [["c", "is null"]]]),
        json!([[["a", ">=", "2024-01-15"], ["a", "<", "12345678901234567890123"], ["b", "!=", -0.5]]]),
    ] {
        assert_eq!(predicate(&json).to_json(), json);
        assert_eq!(predicate(&predicate(&json).to_json()), predicate(&json));
    }
    assert_eq!(predicate(&json!([["a", "==", 1]])).to_json(), json!([[["a", "=", 1]]]));
    assert_eq!(Predicate::parse(&json!([]), "f").expect("an empty list"), None);
}

#[test]
fn errors_name_the_place_and_what_would_be_right() {
    for (json, place, right) in [
        (json!("x"), "`f`", "list of conditions"),
        (json!([5]), "`f[0]`", "condition such as"),
        (json!([["a"]]), "`f[0]`", "condition such as"),
        (json!([["a", "=", 1, 2]]), "`f[0]`", "condition such as"),
        (json!([[5, "=", 1]]), "`f[0][0]`", "name of a column"),
        (json!([["a", "~", 1]]), "`f[0][1]`", "'not in'"),
        (json!([["a", 3, 1]]), "`f[0][1]`", "'not in'"),
        (json!([["a", "="]]), "`f[0]`", "a value after '='"),
        (json!([["a", "=", null]]), "`f[0][2]`", "null"),
        (json!([["a", "=", 1e20]]), "`f[0][2]`", "as a string"),
        (json!([["a", "=", [1]]]), "`f[0][2]`", "a string, a number"),
        (json!([["a", "in", 1]]), "`f[0][2]`", "list of values"),
        (json!([["a", "in", []]]), "`f[0][2]`", "at least one value"),
        (json!([["a", "in", [1, {}]]]), "`f[0][2][1]`", "a string, a number"),
        (json!([["a", "is null", 1]]), "`f[0][2]`", "nothing after"),
        (json!([[["a", "=", 1]], []]), "`f[1]`", "conditions"),
        (json!([[["a", "=", 1]], [["b", "x", 1]]]), "`f[1][0][1]`", "'not in'"),
    ] {
        let error = Predicate::parse(&json, "f").expect_err("an error");
        let text = format!("{} {:?}", error.message(), error);
        assert!(error.message().contains(place) && text.contains(right), "{json}: {text}");
    }
}

#[test]
fn columns_that_cannot_be_compared_are_refused_by_name() {
    let check = |json: Json, kind| predicate(&json!([json])).alternatives()[0][0].check(kind);
    for (literal, good) in [
        (json!(1), [Kind::Number, Kind::Text].as_slice()),
        (json!("1"), &[Kind::Number, Kind::Text]),
        (json!("x"), &[Kind::Text]),
        (json!(true), &[Kind::Boolean]),
        (json!("2024-01-15"), &[Kind::Text, Kind::Instant]),
        (json!("12:30"), &[Kind::Text, Kind::Time]),
    ] {
        for kind in [Kind::Boolean, Kind::Number, Kind::Text, Kind::Instant, Kind::Time, Kind::Other] {
            let checked = check(json!(["col", "=", literal]), kind);
            assert_eq!(checked.is_ok(), good.contains(&kind), "{literal} {kind:?}");
            if let Err(error) = checked {
                assert!(error.message().contains("'col'"), "{error}");
            }
            assert!(check(json!(["col", "is null"]), kind).is_ok());
        }
    }
}

/// Numbers that look random and are the same in every run.
fn random(seed: u64) -> impl FnMut(i128) -> i128 {
    let mut state = seed;
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        i128::from(state) % limit
    }
}

#[test]
fn what_bounds_deny_no_value_between_them_passes() {
    let mut random = random(3);
    let (mut denied, mut allowed) = (0, 0);
    for _ in 0..40_000 {
        let least = random(20) - 10;
        let greatest = least + random(4);
        let nulls = [Nulls::Unknown, Nulls::None, Nulls::All][random(3) as usize];
        let floats = random(2) == 0;
        let value = |number: i128| if floats { Value::Double(number as f64) } else { Value::Integer(number) };
        let known = random(5) > 0;
        let extent = Extent { between: known.then(|| (value(least), value(greatest))), nulls };
        let literal = json!((random(24) - 12) as f64 / 2.0);
        let operator = ["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null"][random(10) as usize];
        let condition = match operator {
            "in" | "not in" => json!(["c", operator, [literal, literal]]),
            "is null" | "is not null" => json!(["c", operator]),
            _ => json!(["c", operator, literal]),
        };
        let predicate = predicate(&json!([condition]));
        let mut values: Vec<Value<'_>> = (least..=greatest).map(value).collect();
        if floats {
            values.push(Value::Double(f64::NAN));
        }
        match nulls {
            Nulls::None => {}
            Nulls::Unknown => values.push(Value::Null),
            Nulls::All => values = vec![Value::Null],
        }
        let passes = values.iter().any(|value| predicate.truth(|_| *value) == Truth::True);
        let possible = predicate.possible(|_| extent);
        assert!(possible || !passes, "{condition} {extent:?}");
        if possible { allowed += 1 } else { denied += 1 }
    }
    assert!(denied > 5000 && allowed > 5000, "{denied} {allowed}");
}

#[test]
fn the_order_of_texts_says_nothing_about_the_numbers_in_them() {
    let predicate = predicate(&json!([["c", "=", 9]]));
    let between = Some((Value::Text(b"10"), Value::Text(b"11")));
    assert!(
        predicate.possible(|_| Extent { between, nulls: Nulls::None }),
        "'10' and '11' may have '1009' between them"
    );
}

#[test]
fn numbers_compare_as_their_digits_say() {
    let texts = [
        "-1e3",
        "-12.5",
        "-12.49",
        "-1",
        "-0.001",
        "0",
        "0.0001",
        "0.001",
        "0.1",
        "0.10000000000000000001",
        "1",
        "9.99",
        "10",
        "1e2",
        "100.000000000000000000000000000001",
        "12345678901234567890123456789012345678901234567890",
        "1e60",
        "1e90",
    ];
    let numbers: Vec<Number> = texts.iter().map(|text| Number::parse(text.as_bytes()).expect(text)).collect();
    for (left, one) in numbers.iter().enumerate() {
        for (right, other) in numbers.iter().enumerate() {
            assert_eq!(one.cmp(other), left.cmp(&right), "{} {}", texts[left], texts[right]);
            if let Some(integer) = one.integer() {
                assert_eq!(other.order_integer(integer), left.cmp(&right), "{} {}", texts[left], texts[right]);
            }
            for scale in [0, 2, 30] {
                let Some(decimal) = one.decimal(scale) else { continue };
                assert_eq!(other.order_decimal(decimal, scale), left.cmp(&right), "{} {}", texts[left], texts[right]);
            }
        }
    }
    for same in ["1", "+1", "1.0", "01", "0.1e1", "10e-1", "1."] {
        assert_eq!(Number::parse(same.as_bytes()).expect(same).cmp(&numbers[10]), Ordering::Equal, "{same}");
    }
    for none in ["", "-", ".", "e5", "1e", "1e+", "0x1", "1 ", "inf", "nan", "1_0", "1e999999", "--1"] {
        assert!(Number::parse(none.as_bytes()).is_none(), "{none}");
    }
}

#[test]
fn marks_keep_the_greatest_value_of_each_class() {
    let mut marks = Marks::default();
    assert!(marks.none() && !marks.above(&Value::Integer(i128::MIN)));
    for value in [
        Value::Integer(9),
        Value::Digits(b"10"),
        Value::Double(9.5),
        Value::Text(b"10.5"),
        Value::Text(b"beta"),
        Value::Text(b"alpha"),
        Value::Instant(DAY_NANOS),
        Value::Text(b"1970-01-03"),
        Value::Null,
        Value::Boolean(true),
        Value::Double(f64::NAN),
        Value::Double(f64::INFINITY),
        Value::Instant(i128::MAX),
        Value::Other,
    ] {
        marks.see(&value);
    }
    let written = serde_json::to_value(&marks).expect("JSON");
    assert_eq!(written, json!({"number": "10.5", "instant": "1970-01-03T00:00:00Z", "text": "beta"}));
    let read: Marks = serde_json::from_value(written).expect("marks");
    assert_eq!(read, marks);
    for (value, below) in [
        (Value::Integer(10), true),
        (Value::Integer(11), false),
        (Value::Text(b"9"), true),
        (Value::Text(b"100"), false),
        (Value::Text(b"alpha"), true),
        (Value::Text(b"beta"), false),
        (Value::Text(b"1970-01-02T23:59:59.999Z"), true),
        (Value::Instant(2 * DAY_NANOS), false),
        (Value::Null, false),
        (Value::Other, false),
        (Value::Double(f64::NAN), false),
        (Value::Double(10.4), true),
        (Value::Decimal(i256::from_i128(1049), 2), true),
        (Value::Decimal(i256::from_i128(1050), 2), false),
    ] {
        assert_eq!(read.above(&value), below, "{value:?}");
    }
    let mut other = Marks::default();
    other.see(&Value::Integer(1000));
    other.merge(&marks);
    assert!(other.above(&Value::Integer(999)) && other.above(&Value::Text(b"alpha")));
    assert!(serde_json::from_value::<Marks>(json!({"number": "x"})).is_err());
}

#[test]
fn what_was_a_mark_is_not_below_it() {
    for value in [
        Value::Single(0.1),
        Value::Single(0.7),
        Value::Double(0.1 + 0.2),
        Value::Double(1e300),
        Value::Double(-5e-324),
        Value::Integer(i64::MAX.into()),
        Value::Decimal(i256::from_string("-99999999999999999999999999999999999999999").expect("digits"), 20),
        Value::Instant(-1),
        Value::Instant(1_705_320_000_123_456_789),
    ] {
        let mut marks = Marks::default();
        marks.see(&value);
        let read: Marks = serde_json::from_value(serde_json::to_value(&marks).expect("JSON")).expect("marks");
        assert!(!marks.none() && !read.above(&value), "{value:?} {read:?}");
        let predicate = read.predicate("c").expect("a predicate");
        assert_eq!(predicate.truth(|_| value), Truth::True, "{value:?}");
        assert_eq!(predicate.truth(|_| Value::Null), Truth::True);
    }
}

#[test]
fn a_lookback_lowers_the_marks_of_its_kind() {
    let mut marks = Marks::default();
    marks.see(&Value::Integer(100));
    let lookback = |text| Lookback::parse(text).expect(text);
    let lowered = marks.lowered(&lookback("10")).expect("numbers");
    assert!(lowered.above(&Value::Integer(89)) && !lowered.above(&Value::Integer(90)));
    assert!(marks.lowered(&lookback("3d")).is_err());
    let mut times = Marks::default();
    times.see(&Value::Text(b"2024-01-15"));
    let lowered = times.lowered(&lookback("36h")).expect("times");
    assert!(
        lowered.above(&Value::Text(b"2024-01-13T11:59:59")) && !lowered.above(&Value::Text(b"2024-01-13T12:00:00Z"))
    );
    assert!(times.lowered(&lookback("1.5")).is_err());
    assert!(Marks::default().lowered(&lookback("1.5")).is_ok());
    for text in ["", "d", "3 weeks", "-1", "-1d", "1.5h"] {
        assert_eq!(Lookback::parse(text), None, "{text}");
    }
    for text in ["90s", "12", "0.5"] {
        assert_eq!(lookback(text).text(), text);
    }
    assert_eq!(lookback("2d").text(), "172800s");
}
