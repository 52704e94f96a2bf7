//! The spellings of rates, bursts and sizes: the table in fixtures, and what must hold for all of them.

use proptest::prelude::*;
use sluicegate::limit::{Burst, Rate, RateOrOff, Size, UnitError};

/// What a spelling means, and how that is printed.
fn read(quantity: &str, spelling: &str) -> Result<(String, String), UnitError> {
    Ok(match quantity {
        "rate" => {
            let rate: RateOrOff = spelling.parse()?;
            let bytes = rate.0.map_or("off".to_owned(), |rate| rate.bytes_per_second().to_string());
            (bytes, rate.to_string())
        }
        "burst" => {
            let burst: Burst = spelling.parse()?;
            (burst.bytes().to_string(), burst.to_string())
        }
        "size" => {
            let size: Size = spelling.parse()?;
            (size.bytes().to_string(), size.to_string())
        }
        other => panic!("the table names an unknown quantity {other:?}"),
    })
}

#[test]
fn every_spelling_in_the_table_is_read_and_printed_as_it_says() {
    let table = include_str!("../../fixtures/units/spellings.txt");
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let spelling = columns[1].trim_matches('"');
        let result = read(columns[0], spelling);
        match columns[2..] {
            [bytes, printed] => {
                assert_eq!(result, Ok((bytes.to_owned(), printed.to_owned())), "{line}");
                assert_eq!(read(columns[0], printed).unwrap().0, bytes, "read back: {line}");
            }
            [message] => {
                let expected = message.strip_prefix("! ").expect("a bad row has `! message`");
                let error = result.expect_err(line).to_string();
                assert!(error.contains(expected), "{line}\n{error}");
                assert!(error.contains(&format!("{spelling:?}")) || spelling.len() > 40, "{error}");
            }
            _ => panic!("a row has three or four columns: {line}"),
        }
        rows += 1;
    }
    assert!(rows > 80, "the table was read: {rows} rows");
}

#[test]
fn where_a_rate_is_needed_off_and_zero_are_errors() {
    let off = "off".parse::<Rate>().unwrap_err().to_string();
    assert!(off.contains("`off` is for a rate that may be unlimited"), "{off}");
    assert!(!off.contains("or off"), "not offered as a good spelling: {off}");
    assert!("0".parse::<Rate>().is_err());
    assert_eq!(Rate::parse_or_off("off"), Ok(None));
    assert_eq!(Rate::parse_or_off("1k"), Ok(Rate::or_unlimited(1024)));
}

#[test]
fn an_error_does_not_repeat_a_long_text() {
    let error = "9".repeat(100_000).parse::<Rate>().unwrap_err().to_string();
    assert!(error.len() < 250, "{error}");
    let error = format!("1{}", "ü".repeat(100_000)).parse::<Rate>().unwrap_err().to_string();
    assert!(error.len() < 350, "{error}");
}

#[derive(serde::Deserialize)]
struct Keys {
    rate: RateOrOff,
    burst: Burst,
}

#[test]
fn a_toml_value_may_be_an_integer_a_decimal_or_a_text() {
    let read = |text: &str| toml::from_str::<Keys>(text).map(|keys| (keys.rate, keys.burst));
    let expected = (RateOrOff(Rate::or_unlimited(1536)), Burst::new(2048));
    for text in ["rate = 1.5\nburst = 2", "rate = \"1.5k\"\nburst = 2.0", "rate = '12.288kbit'\nburst = '2'"]
    {
        assert_eq!(read(text).unwrap(), expected, "{text}");
    }
    for text in
        ["rate = 0\nburst = 1", "rate = nan\nburst = 1", "rate = 1e300\nburst = 1", "rate = 1\nburst = -1"]
    {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(read("rate = true\nburst = 1").unwrap_err().message().contains("a number, or a text such as"));
}

/// Numbers of all magnitudes, and multiples of what units there are.
fn any_bytes() -> impl Strategy<Value = u64> {
    let unit = prop::sample::select(vec![1u64, 125, 1 << 10, 125_000, 1 << 20, 125_000_000, 1 << 30]);
    prop_oneof![
        any::<u64>(),
        (any::<u64>(), 0u32..64).prop_map(|(bytes, shift)| bytes >> shift),
        (0u64..20_000, unit).prop_map(|(n, unit)| n * unit / 8),
    ]
}

#[test]
fn what_serde_writes_it_reads_as_the_same() {
    let rate = Rate::kib_per_second(64);
    for (text, value) in [
        ("\"64k\"", RateOrOff(Some(rate))),
        ("\"off\"", RateOrOff(None)),
        ("\"1m\"", RateOrOff(Some(Rate::mib_per_second(1)))),
        ("\"7B\"", RateOrOff(Rate::or_unlimited(7))),
    ] {
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(serde_json::from_str::<RateOrOff>(text).unwrap(), value);
    }
    let whole = serde_json::to_string(&(rate, Burst::new(1 << 20), Size::new(1_000))).unwrap();
    assert_eq!(whole, "[\"64k\",\"1m\",\"1000B\"]");
    let read: (Rate, Burst, Size) = serde_json::from_str(&whole).unwrap();
    assert_eq!(read, (rate, Burst::new(1 << 20), Size::new(1_000)));
}

#[test]
fn rates_in_the_source_are_constants_and_never_zero() {
    const RATE: Rate = Rate::mib_per_second(3);
    assert_eq!((RATE.bytes_per_second(), Rate::kib_per_second(64)), (3 << 20, Rate::new(65_536).unwrap()));
    for wrong in [0, u64::MAX] {
        assert!(std::panic::catch_unwind(|| Rate::kib_per_second(wrong)).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn printed_values_read_back_to_the_same(bytes in any_bytes()) {
        prop_assert_eq!(Burst::new(bytes).to_string().parse(), Ok(Burst::new(bytes)));
        prop_assert_eq!(Size::new(bytes).to_string().parse(), Ok(Size::new(bytes)));
        let rate = RateOrOff(Rate::or_unlimited(bytes));
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn a_printed_rate_is_never_longer_than_its_bytes(bytes in any_bytes()) {
        let plain = format!("{bytes}B");
        prop_assert!(Size::new(bytes).to_string().len() <= plain.len());
    }

    /// Against a second way to the same number: everything over 10⁹, the finest decimal generated.
    #[test]
    fn decimals_are_exact(whole in 0u64..1_000_000, decimals in 0u32..1_000_000_000, digits in 0usize..=9) {
        let decimals = format!("{decimals:09}")[..digits].to_owned();
        let point = if digits == 0 { "" } else { "." };
        let billionths = u128::from(whole) * 1_000_000_000
            + format!("{decimals:0<9}").parse::<u128>().unwrap();
        for (letters, unit) in [("k", 1u128 << 10), ("m", 1 << 20), ("g", 1 << 30), ("B", 1)] {
            let exact = billionths * unit;
            let parsed = format!("{whole}{point}{decimals}{letters}").parse::<Size>();
            if exact % 1_000_000_000 == 0 {
                prop_assert_eq!(parsed, Ok(Size::new((exact / 1_000_000_000) as u64)));
            } else {
                prop_assert!(parsed.is_err());
            }
        }
    }

    #[test]
    fn any_text_gets_a_value_or_a_message(text in "\\PC*", likely in "-?[0-9.]{0,24}[a-zA-Z]{0,5}") {
        for text in [text, likely] {
            for quantity in ["rate", "burst", "size"] {
                if let Err(error) = read(quantity, &text) {
                    prop_assert!(error.to_string().contains("write "));
                }
            }
        }
    }
}
