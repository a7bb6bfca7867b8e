"""Tables on the terminal: plain text, a line a row."""

from latentcore.terminal.tables import show, show_rows


def test_two_columns(capsys):
    show("figures", {"f1": "0.99", "run folder": "/a/long path"})
    assert capsys.readouterr().out == "figures\nf1          0.99\nrun folder  /a/long path\n"


def test_numbers_stand_at_the_right_and_what_a_row_lacks_stays_empty(capsys):
    show_rows(
        "2 runs", ("run", "psnr", "steps"), [{"run": "first", "psnr": 25.61234, "steps": 1_200_000}, {"run": "b"}]
    )
    assert capsys.readouterr().out == "2 runs\nrun     psnr      steps\nfirst  25.61  1,200,000\nb\n"


def test_no_rows(capsys):
    show_rows("nothing", ("run", "psnr"), [])
    assert capsys.readouterr().out == "nothing\nrun  psnr\n"
