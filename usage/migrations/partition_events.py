from django.db import migrations

from lib.partitions import partition_by_month


def partition(apps, editor):
    partition_by_month(editor, "usage_usageevent", "occurred_at")


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial")]
    operations = [migrations.RunPython(partition, migrations.RunPython.noop)]
