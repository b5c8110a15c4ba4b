//! SELECT ONLINE over a join of two tables.

use std::fmt::Write as _;

use serde_json::Value;

use super::program::Place;

/// Orders of customers: neighbours are alike, as an order's customer and amount drift; some have no customer, or one that
/// is not known. And what is known of the customers, in no order; some are there twice.
fn orders_and_customers() -> Place {
    let place = Place::new();
    let mut orders = String::from("customer,amount\n");
    for row in 0..24_000_u64 {
        // The low bits of a multiplicative hash are no period of the blocks'.
        let dice = (row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let customer = if dice.is_multiple_of(41) { String::new() } else { (row / 40 + dice % 300).to_string() };
        writeln!(orders, "{customer},{:.2}", (row / 900 % 9) as f64 + (dice % 17) as f64).expect("is written");
    }
    place.write("orders.csv", &orders);
    let mut customers = String::from("id,region,weight,since\n");
    for row in 0..6_000_u64 {
        let dice = (row + 1).wrapping_mul(0xd1b5_4a32_d192_ed03) >> 33;
        let id = if dice.is_multiple_of(53) { String::new() } else { (dice % 2_000).to_string() };
        let region = ["north", "north", "south", "east"][(dice / 7 % 4) as usize];
        writeln!(customers, "{id},{region},{:.1},{}", (dice % 23) as f64 / 2.0, row % 10).expect("is written");
    }
    place.write("customers.csv", &customers);
    place.write("regions.csv", "name,tax\nnorth,0.1\nsouth,0.2\n");
    place
}

fn table(name: &str, columns: &str) -> String {
    format!(
        "CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '{name}.csv', 'format' = 'csv', \
         'csv.header' = 'true', 'csv.null-literal' = '');\n"
    )
}

fn tables() -> String {
    table("orders", "customer BIGINT, amount DOUBLE")
        + &table("customers", "id BIGINT, region STRING, weight DOUBLE, since INT")
        + &table("regions", "name STRING, tax DOUBLE")
}

fn rows(place: &Place, statements: &str) -> Vec<Value> {
    let printed = place.fleuve(&["sql", "--format", "json", "-c", &format!("{}{statements}", tables())]).succeeds();
    printed.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

const EARLY: &str = "SET 'pipeline.epoch-bytes' = '16 kb'; SET 'online.interval' = '0 ms';";

const QUERY: &str = "region, AVG(amount) AS mean, SUM(amount * weight) AS total, COUNT(*) AS n, \
                     COUNT(*) FILTER (WHERE amount > weight) AS more FROM orders AS o JOIN customers AS c ON o.customer = c.id \
                     AND o.amount < c.weight + 20 WHERE since < 9 AND amount > 1 GROUP BY region;";

const MEASURES: [&str; 4] = ["mean", "total", "n", "more"];

fn of<'a>(rows: &'a [Value], region: &Value) -> &'a Value {
    rows.iter().find(|row| &row["region"] == region).expect("has the group")
}

#[test]
fn estimates_hold_the_truth_and_end_as_the_ordinary_answer() {
    let place = orders_and_customers();
    let truth = rows(&place, &format!("SELECT {QUERY}"));
    assert_eq!(truth.len(), 3);
    for workers in [1, 2, 4] {
        let set = format!("{EARLY} SET 'online.confidence' = '0.9999'; SET 'parallelism.default' = '{workers}';");
        let online = rows(&place, &format!("{set} SELECT ONLINE {QUERY}"));
        let (early, last) = online.split_at(online.len() - 3);
        assert!(early.len() >= 3 * 2, "{} rows", early.len());
        for row in last {
            let exact = of(&truth, &row["region"]);
            assert_eq!((&row["fraction"], &row["rows_seen"]), (&Value::from(1.0), &exact["n"]));
            for (measure, end) in MEASURES.iter().flat_map(|measure| ["", "_low", "_high"].map(|end| (measure, end))) {
                let found = row[format!("{measure}{end}")].as_f64().expect("is a number");
                let exact = exact[measure].as_f64().expect("is a number");
                assert!((found - exact).abs() < 1e-9 * exact.abs(), "{measure}{end} of {row}");
            }
        }
        for row in early {
            for measure in MEASURES {
                let exact = of(&truth, &row["region"])[measure].as_f64();
                let [low, high] = ["low", "high"].map(|end| row[format!("{measure}_{end}")].as_f64());
                let holds = low.is_none_or(|low| Some(low) <= exact) && high.is_none_or(|high| Some(high) >= exact);
                assert!(holds, "{measure} of {row}, where {exact:?} is right");
            }
        }
    }
}

/// Over many orders in which the blocks may come.
#[test]
fn intervals_cover_as_often_as_they_claim() {
    const SEEDS: usize = 60;
    let place = orders_and_customers();
    let query = "AVG(amount * weight) AS mean, SUM(weight) AS total, COUNT(*) AS n FROM orders JOIN customers ON customer = id;";
    let truth = rows(&place, &format!("SELECT {query}"));
    let runs = (0..SEEDS).map(|seed| format!("SET 'pipeline.seed' = '{seed}'; SELECT ONLINE {query}"));
    let set = format!("{EARLY} SET 'online.confidence' = '0.8';");
    let all = rows(&place, &format!("{set}{}", runs.collect::<String>()));
    let runs: Vec<&[Value]> = all.split_inclusive(|row| row["fraction"] == 1.0).collect();
    assert_eq!(runs.len(), SEEDS);
    let early =
        |run: &&[Value]| run.iter().find(|row| row["fraction"].as_f64() > Some(0.4)).cloned().expect("is early");
    let early: Vec<Value> = runs.iter().map(early).collect();
    assert!(early.iter().all(|row| row["fraction"].as_f64() < Some(0.8)), "{early:?}");
    for measure in ["mean", "total", "n"] {
        let exact = truth[0][measure].as_f64();
        let holds = |row: &&Value| {
            row[format!("{measure}_low")].as_f64() <= exact && row[format!("{measure}_high")].as_f64() >= exact
        };
        let covered = early.iter().filter(holds).count();
        // Four standard deviations of 60 draws at 0.8 are 12.
        assert!(covered.abs_diff(48) <= 12, "{covered} of {SEEDS} intervals of {measure} cover");
    }
}

/// The second table is one block, which is read at once; from then on only the first is a sample.
#[test]
fn a_small_table_is_read_first() {
    let place = orders_and_customers();
    let query = "AVG(tax * weight) AS x, COUNT(*) AS n FROM customers JOIN regions ON region = name;";
    let online = rows(&place, &format!("{EARLY} SELECT ONLINE {query}"));
    let first = online.iter().find(|row| row["fraction"].as_f64() > Some(0.4)).expect("there is one");
    assert!(first["fraction"].as_f64() < Some(0.7) && first["x_high"].is_f64() && first["n_high"].is_f64(), "{first}");
    let (last, truth) = (online.last().expect("there is one"), rows(&place, &format!("SELECT {query}")));
    assert_eq!(last["n"].as_f64(), truth[0]["n"].as_f64());
}

#[test]
fn a_table_may_be_joined_with_itself() {
    let place = orders_and_customers();
    let query = "SUM(a.weight * b.weight) AS s, COUNT(*) AS n FROM customers AS a JOIN customers AS b \
                 ON a.id = b.id AND a.since < b.since;";
    let online = rows(&place, &format!("{EARLY} SET 'online.confidence' = '0.9999'; SELECT ONLINE {query}"));
    let truth = rows(&place, &format!("SELECT {query}"));
    let (n, s) = (truth[0]["n"].as_f64(), truth[0]["s"].as_f64().expect("a number"));
    let last = online.last().expect("there is one");
    assert_eq!(last["n"].as_f64(), n);
    assert!((last["s"].as_f64().expect("a number") - s).abs() < 1e-9 * s);
    let bounded = online.iter().filter(|row| row["n_high"].is_f64());
    assert!(bounded.clone().count() > 3 && bounded.clone().all(|row| row["n_high"].as_f64() >= n), "{online:?}");
}

#[test]
fn a_join_without_rows_has_an_answer() {
    let place = orders_and_customers();
    place.write("empty.csv", "id,x\n");
    let empty = table("empty", "id BIGINT, x DOUBLE");
    for join in ["customers ON customer = id AND id < -1", "empty ON customer = id"] {
        let online =
            rows(&place, &format!("{empty} SELECT ONLINE COUNT(*) AS n, AVG(amount) FROM orders JOIN {join};"));
        let last = online.last().expect("there is one");
        assert_eq!((last["n"].as_f64(), last["avg"].as_f64(), last["fraction"].as_f64()), (Some(0.0), None, Some(1.0)));
        let grouped = "SELECT ONLINE customer, COUNT(*) AS n FROM orders JOIN";
        assert_eq!(rows(&place, &format!("{empty} {grouped} {join} GROUP BY customer;")), Vec::<Value>::new());
    }
}

#[test]
fn joins_that_cannot_be_estimated_are_refused() {
    let place = orders_and_customers();
    for (from, told, place_and_hint) in [
        ("orders LEFT JOIN customers ON customer = id", "of a LEFT JOIN", "write JOIN"),
        ("orders RIGHT JOIN customers ON customer = id", "RIGHT JOIN", "swap the two sides"),
        ("orders FULL JOIN customers ON customer = id", "FULL JOIN", "write a LEFT JOIN"),
        ("orders CROSS JOIN customers", "a join without an equality", "add a condition a.key = b.key"),
        ("orders JOIN customers ON customer < id", "a join without an equality", "add a condition a.key = b.key"),
        (
            "orders JOIN customers ON customer = id JOIN regions ON region = name",
            "from more than two tables",
            "write the third table's columns into one of the two",
        ),
        ("orders WHERE customer IN (SELECT id FROM customers)", "with IN or EXISTS", "write JOIN"),
    ] {
        let script = format!("{} SELECT ONLINE SUM(amount) FROM {from};", tables());
        let refused = place.fleuve(&["sql", "-c", &script]);
        assert_eq!(refused.status, 3, "{from}: {}", refused.stderr);
        for text in ["error[E201]", told, place_and_hint, "command:4:"] {
            assert!(refused.stderr.contains(text), "{text} is not in {}", refused.stderr);
        }
    }
}

/// Both tables are kept until the end.
#[test]
fn memory_has_a_limit() {
    let place = orders_and_customers();
    let query = "SELECT ONLINE COUNT(*) FROM orders JOIN customers ON customer = id;";
    let script = format!("{} SET 'pipeline.memory-limit' = '100 kb'; {query}", tables());
    let stopped = place.fleuve(&["sql", "-c", &script]);
    for text in ["error[E310]", "pipeline.memory-limit"] {
        assert!(stopped.stderr.contains(text), "{text} is not in {}", stopped.stderr);
    }
}
