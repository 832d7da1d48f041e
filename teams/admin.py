"""Django admin for operators."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.db import transaction
from django.db.models import CASCADE, Model, QuerySet
from django.http import HttpRequest

from teams.actions import do_delete_project, do_delete_team
from teams.models import ApiKey, AuditEvent, Membership, Project, Team, User


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Shows rows that only actions may write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes here."""
        return False


class OwnerAdmin(admin.ModelAdmin[Any]):
    """Rows that are deleted with all that belongs to them, also what is shown read-only."""

    do_delete: Callable[..., None]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Leave word of it in the audit trail."""
        self.do_delete(obj, actor=request.user)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Leave word of each in the audit trail."""
        for one in queryset:
            self.do_delete(one, actor=request.user)

    def get_deleted_objects(  # type: ignore[override]
        self, objs: Sequence[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what goes with them, since as a list it could be millions."""
        relations = objs[0]._meta.related_objects if objs else ()
        counts = {
            str(relation.related_model._meta.verbose_name_plural): (
                relation.related_model._base_manager.filter(
                    **{f"{relation.field.name}__in": objs}
                ).count()
            )
            for relation in relations
            if relation.on_delete is CASCADE
        }
        return [f"{one}, with all that belongs to it" for one in objs], counts, set(), []


@admin.register(User)
class UserAdmin(BaseUserAdmin[User]):
    """People, known by e-mail. The base class hashes passwords in both forms."""

    ordering = ["email"]
    list_display = ["email", "name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active"]
    search_fields = ["email", "name"]
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Person", {"fields": ["name"]}),
        ("Operator rights", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": ["email", "name", "usable_password", "password1", "password2"],
            },
        ),
    ]
    filter_horizontal = ["groups"]


class MembershipInline(admin.TabularInline[Membership, Team]):
    """A team's members."""

    model = Membership
    autocomplete_fields = ["user"]
    extra = 1


@admin.register(Team)
class TeamAdmin(OwnerAdmin):
    """Teams with their members."""

    do_delete = staticmethod(do_delete_team)
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    # Its days have to be added up anew with it, see `teams.actions.do_change_time_zone`.
    readonly_fields = ["time_zone"]
    inlines = [MembershipInline]


@admin.register(Project)
class ProjectAdmin(OwnerAdmin):
    """Projects."""

    do_delete = staticmethod(do_delete_project)
    list_display = ["name", "slug", "team", "created_at"]
    list_select_related = ["team"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    autocomplete_fields = ["team"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys, without anything that could be used as one."""

    list_display = ["name", "project", "lookup", "created_at", "revoked_at"]
    list_select_related = ["project"]
    search_fields = ["name", "lookup", "public_id"]
    exclude = ["digest"]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The audit trail."""

    list_display = ["created_at", "actor", "verb", "target", "project"]
    list_select_related = ["project"]
    list_filter = ["verb"]
    search_fields = ["actor", "target"]
    date_hierarchy = "created_at"
