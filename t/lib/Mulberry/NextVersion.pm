# An artificial next version of the extension, for the tests of updates: a copy of the sources in which
# a table, a function, a view and rights have been added, a function and a view changed; built and
# installed, as this version before it, into a PostgreSQL that no other test uses.
package Mulberry::NextVersion;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

# Copies the sources and the server, and installs this version there.
sub new
{
    my ($class, $sources) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $self = bless { tree => "$directory/tree" }, $class;
    mkdir $self->{tree} or die $!;
    # with what is built already; the programs have nothing to do with it
    run("tar -C '$sources' -cf - --exclude=./.git --exclude=./tmp_check --exclude=./build --exclude=./speech . | tar -C '$self->{tree}' -xf -");
    chomp($self->{pg_config} = `'$self->{tree}/scripts/private-postgres' '$directory/pg' pg_config`);
    ($self->{version}) = $self->read('mulberry.control') =~ /^default_version = '(.*)'$/m or die;
    $self->{next} = "$self->{version}.1";
    $self->install;
    return $self;
}

# For PostgreSQL::Test::Cluster->new().
sub install_path { my ($self) = @_; return $self->{pg_config} =~ s{/bin/pg_config$}{}r }

sub run { my ($command) = @_; system("$command >>'$PostgreSQL::Test::Utils::log_path/next_version.log' 2>&1") == 0 or die "failed: $command"; return }

sub install { my ($self) = @_; run("make -s -C '$self->{tree}' with_llvm=no PG_CONFIG='$self->{pg_config}' all install"); return }

sub read { my ($self, $file) = @_; return slurp_file("$self->{tree}/$file") }

sub write
{
    my ($self, $file, $text) = @_;
    open(my $handle, '>', "$self->{tree}/$file") or die "$file: $!";
    print $handle $text;
    close $handle;
    return;
}

# The file of a subject that has something, wherever that has been moved.
sub file_with
{
    my ($self, $pattern) = @_;
    my ($file) = grep { $self->read($_) =~ $pattern } map { s{^\Q$self->{tree}\E/}{}r } glob "$self->{tree}/src/*/*.sql";
    return $file // die "no file has $pattern";
}

sub append { my ($self, $file, $text) = @_; $self->write($file, $self->read($file) . $text); return }

sub change
{
    my ($self, $file, $pattern, $replacement) = @_;
    my $text = $self->read($file);
    $text =~ s/$pattern/$replacement->()/e or die "nothing to change in $file: $pattern";
    $self->write($file, $text);
    return;
}

# Makes the next version out of the copy and installs its files beside those of this one.
sub build
{
    my ($self) = @_;
    my $table = <<'SQL';

CREATE TABLE notes (
    tenant uuid NOT NULL REFERENCES tenants,
    number integer NOT NULL,
    note   text COLLATE "C" NOT NULL CHECK (note <> ''),
    PRIMARY KEY (tenant, number)
);
COMMENT ON TABLE notes IS 'what somebody notes';
SELECT pg_extension_config_dump('notes', '');
SQL
    # DDL as people write it: no word of rights or row security
    my $tables = $self->file_with(qr/^CREATE TABLE sync_states /m);
    $self->append($tables, $table);
    $self->append($tables, "\nALTER TABLE sync_states ADD COLUMN checked boolean NOT NULL DEFAULT false;\n");
    mkdir "$self->{tree}/updates";
    $self->write("updates/$self->{version}--$self->{next}.sql", $table . "ALTER TABLE sync_states ADD COLUMN checked boolean NOT NULL DEFAULT false;\n");

    mkdir "$self->{tree}/src/notes" or die $!;
    $self->write('src/notes/notes.sql', <<'SQL');
CREATE OR REPLACE FUNCTION note_valid(note text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN note <> '';
COMMENT ON FUNCTION note_valid(text) IS 'true unless it is empty';

CREATE OR REPLACE FUNCTION mulberry.take_note(note text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(NULL, 'operator');
BEGIN
    INSERT INTO mulberry_internal.notes AS n (tenant, number, note)
    VALUES (target, (SELECT count(*) FROM mulberry_internal.notes o WHERE o.tenant = target), take_note.note);
    RETURN 1;
END
$$;
COMMENT ON FUNCTION mulberry.take_note(text) IS 'notes something';

CREATE OR REPLACE VIEW mulberry.noted WITH (security_barrier) AS
    SELECT n.number, n.note FROM notes n WHERE n.tenant = ANY ((SELECT current_tenants('operator'))::uuid[]);
COMMENT ON VIEW mulberry.noted IS 'what has been noted';

CREATE OR REPLACE FUNCTION access_rules_notes() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    VALUES ('take_note', 'EXECUTE', 'operator'), ('noted', 'SELECT', 'operator')
$$;
COMMENT ON FUNCTION access_rules_notes() IS 'which access needs which object of notes';
SQL
    $self->change('src/install/order', qr{^install/close\.sql$}m, sub { "notes/notes.sql\ninstall/close.sql" });

    # a body, and a column behind the others of a view
    my $body = qr/(FUNCTION mulberry\.resume_outbound.*?\$\$\n)/s;
    $self->change($self->file_with($body), $body, sub { "$1-- of the next version\n" });
    my $view = qr/(VIEW mulberry\.tenant_access .*?)(\n\s+FROM )/s;
    $self->change($self->file_with($view), $view, sub { "$1, true AS of_next_version$2" });

    $self->change('mulberry.control', qr/^default_version = '.*'$/m, sub { "default_version = '$self->{next}'" });
    $self->install;
    return;
}

# Adds an update script that lacks what ends all others, as one that was written by hand would.
sub add_careless_update
{
    my ($self, $version) = @_;
    my $script = $self->read("mulberry--$self->{version}--$self->{next}.sql");
    $script =~ s{^-- src/install/close\.sql\n.*}{}ms or die 'no close.sql';
    $script =~ s{\Q-- Assembled\E}{-- Not assembled};
    chomp(my $share = `'$self->{pg_config}' --sharedir`);
    open(my $file, '>', "$share/extension/mulberry--$self->{version}--$version.sql") or die $!;
    print $file $script;
    close $file;
    return;
}

1;
