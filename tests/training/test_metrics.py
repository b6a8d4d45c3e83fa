from metastyle.training.metrics import RunningLosses


def test_losses_are_averaged_from_one_report_to_the_next() -> None:
    losses = RunningLosses()
    losses.add({"content": 1.0, "style": 10.0})
    losses.add({"content": 3.0, "style": 30.0})
    assert losses.report() == {"content": 2.0, "style": 20.0}
    losses.add({"content": 5.0, "style": 50.0})
    assert losses.report() == {"content": 5.0, "style": 50.0}


def test_a_resumed_run_reports_what_an_uninterrupted_one_does() -> None:
    losses = RunningLosses()
    losses.add({"content": 1.0})
    losses.report()
    losses.add({"content": 2.0})
    resumed = RunningLosses()
    resumed.restore(losses.numbers())
    assert resumed.reported == {"content": 1.0}
    resumed.add({"content": 4.0})
    assert resumed.report() == {"content": 3.0}
