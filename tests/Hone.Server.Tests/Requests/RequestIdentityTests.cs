using Hone.Core.Store;
using Hone.Server.Requests;
using Microsoft.Data.Sqlite;

namespace Hone.Server.Tests.Requests;

public sealed class RequestIdentityTests
{
    public static TheoryData<Exception, int, int> StorageFaults => new()
    {
        { new UnauthorizedAccessException("Access to the path '/srv/secret/blobs/x' is denied."), 500, 10501 },
        { new DirectoryNotFoundException("Could not find a part of the path '/srv/secret/blobs'."), 500, 10501 },
        { new StorageException(StorageProblem.ReadOnly, "/srv/secret is on a read-only file system."), 500, 10501 },
        { new IOException("No space left on device : '/srv/secret/blobs/x'", 28), 507, 10507 },
        { new InvalidOperationException("outer", new SqliteException("database is locked: /srv/secret/hone.db", 5)), 503, 10503 },
        { new SqliteException("file is not a database: /srv/secret/hone.db", 26), 500, 10501 },
        { new IOException("The process cannot access the file '/srv/secret/hone.db'"), 500, 10500 },
    };

    [Theory]
    [MemberData(nameof(StorageFaults))]
    public void Describe_StorageFault_SaysWhatToDoAndNotWhereItLies(Exception fault, int status, int code)
    {
        var error = RequestIdentity.Describe(fault);
        Assert.Equal((status, code), (error.Status, Assert.Single(error.Errors).Code));
        Assert.DoesNotContain("/srv", error.Errors[0].Message, StringComparison.Ordinal);
        Assert.Contains("cf-ray", error.Errors[0].Message, StringComparison.Ordinal);
    }
}
