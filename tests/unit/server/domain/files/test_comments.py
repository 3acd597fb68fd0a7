"""Comments."""

from __future__ import annotations

from rollout_server.domain.files import comments, nodes

TEXT = """# top

a: 1  # behind
b: "no # comment"
c: |  # header
  # no comment
d: [x, # inside
  y#no]

  # end"""


def test_every_comment_is_found_and_nothing_else() -> None:
    """A # inside a text is none."""
    found = comments.find(TEXT, nodes.parse(TEXT))
    assert [comment.text for comment in found] == ["# top", "# behind", "# header", "# inside", "# end"]
    assert [comment.alone for comment in found] == [True, False, False, False, True]
    assert [comment.apart for comment in found] == [False, True, False, False, True]
    assert [comment.column for comment in found] == [0, 6, 6, 7, 2]


def test_a_text_without_a_document_may_have_comments() -> None:
    """They are kept too."""
    assert [comment.text for comment in comments.find("# a\n#b", None)] == ["# a", "#b"]
