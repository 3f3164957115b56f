use super::*;

fn stock(datasets: &[(&str, &str)], snapshots: &[&str]) -> Stock {
    let whole = |text: &&str| text.replace('+', "tank/iocage");
    let rows = datasets.iter();
    let rows = rows.map(|(name, origin)| vec![whole(name), whole(origin)]);
    let snapshots: Vec<_> = snapshots.iter().map(|name| vec![whole(name)]).collect();
    Stock::of(rows.collect(), &snapshots)
}

/// What goes with the member at `place`, as texts without the pool.
fn of(stock: &Stock, place: (Family, &str)) -> [Vec<String>; 4] {
    let pool = PoolName::parse("tank").unwrap();
    let plan = Plan::of(&pool, &stock.rows, |family, name| (family, name) == place);
    let all = stock.belongings(&pool, &plan, |unit| unit.is_meant);
    assert_eq!(all.len(), 1);
    let texts = |names: &[Dataset]| {
        let names = names.iter().map(|name| name.replace("tank/iocage", "+"));
        names.collect::<Vec<_>>()
    };
    let one = &all[0];
    [&one.datasets, &one.snapshots, &one.sources, &one.left].map(|names| texts(names))
}

#[test]
fn what_was_made_for_a_jail_goes_with_it_and_nothing_else_does() {
    let stock = stock(
        &[
            ("+/releases/r/root", "-"),
            ("+/templates/t/root", "+/releases/r/root@t"),
            ("+/jails/foo", "-"),
            ("+/jails/foo/data", "+/jails/foo/root@x"),
            ("+/jails/foo/root", "+/releases/r/root@foo"),
            ("+/jails/foo/root/a", "-"),
            ("+/jails/foo-bar", "-"),
            ("+/jails/foo-bar/root", "+/templates/t/root@foo-bar"),
            ("+/jails/kid/root", "+/jails/foo/root@kid"),
            ("+/jails/renamed/root", "+/templates/t/root@old"),
        ],
        &[
            "+/releases/r/root@t",
            "+/releases/r/root@foo",
            "+/releases/r/root@foo-bar",
            "+/templates/t@foo-bar",
            "+/templates/t/root@foo-bar",
            "+/templates/t/root@old",
            "+/jails/foo@kid",
            "+/jails/foo/root@kid",
            "+/jails/foo/root@x",
            "+/jails/foo-bar@x",
        ],
    );
    let [datasets, snapshots, sources, left] = of(&stock, (Family::Jails, "foo"));
    let ordered = [
        "+/jails/foo/data",
        "+/jails/foo/root/a",
        "+/jails/foo/root",
        "+/jails/foo",
    ];
    assert_eq!(datasets, ordered);
    let own = [
        "+/jails/foo/root@kid",
        "+/jails/foo/root@x",
        "+/jails/foo@kid",
    ];
    assert_eq!(snapshots, own);
    assert_eq!(
        (sources, left),
        (vec!["+/releases/r/root@foo".into()], vec![])
    );
    let [.., sources, left] = of(&stock, (Family::Jails, "foo-bar"));
    let both = ["+/templates/t@foo-bar", "+/templates/t/root@foo-bar"];
    assert_eq!((sources, left.len()), (both.map(String::from).to_vec(), 0));
    let [.., sources, left] = of(&stock, (Family::Jails, "kid"));
    let both = ["+/jails/foo@kid", "+/jails/foo/root@kid"];
    assert_eq!((sources.len(), left), (0, both.map(String::from).to_vec()));
    let [.., sources, left] = of(&stock, (Family::Jails, "renamed"));
    assert_eq!(
        (sources.len(), left),
        (0, vec!["+/templates/t/root@old".into()])
    );
}

#[test]
fn a_snapshot_that_another_was_cloned_from_too_stays() {
    let stock = stock(
        &[
            ("+/releases/r/root", "-"),
            ("+/jails/a/root", "+/releases/r/root@a"),
            ("tank/mine", "+/releases/r/root@a"),
        ],
        &["+/releases/r/root@a"],
    );
    let [.., sources, left] = of(&stock, (Family::Jails, "a"));
    assert_eq!((sources.len(), left.len()), (0, 0));
}

#[test]
fn what_a_jail_was_made_from_is_known_when_its_root_is_gone() {
    let whole = |text: &str| text.replace('+', "tank/iocage");
    let rows = "+/jails/web\t-\t+/releases/r/root@web
+/jails/other\t-\t+/releases/r/root@gone
+/jails/whole\t-\t+/releases/r/root@web
+/jails/whole/root\t-\t+/releases/r/root@web";
    let snapshots = "+/releases/r/root@web\t2\n+/jails/web@daily\t0";
    let [rows, snapshots] = [rows, snapshots].map(|text| datasets::rows(&whole(text)));
    let stock = Stock::of(rows, &snapshots);
    let sources = |jail| of(&stock, (Family::Jails, jail))[2].clone();
    assert_eq!(sources("web"), ["+/releases/r/root@web"]);
    assert!(sources("other").is_empty() && sources("whole").is_empty());
    let held: Vec<&str> = stock.held.iter().map(|name| &**name).collect();
    assert_eq!(held, ["tank/iocage/releases/r/root@web"]);
}
