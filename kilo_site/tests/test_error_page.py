"""The error page needs nothing that may be what failed."""

from django.test import RequestFactory

from kilo_site import errors


def test_the_500_page_is_rendered_without_the_database() -> None:
    # No django_db mark: any query fails this test.
    request = RequestFactory().get("/projects/apollo/")
    request.request_id = "req_abc"  # type: ignore[attr-defined]
    response = errors.server_error(request)
    assert response.status_code == 500
    assert "req_abc" in response.content.decode()
