using Hone.Core.Processes;

namespace Hone.Core.Tests.Processes;

public sealed class LastWordsTests
{
    [Theory]
    [InlineData("torch: no luck", "torch: no luck")]
    [InlineData("one\n\ntwo\nthree\nfour\n", "two\nthree\nfour")]
    [InlineData("Unhandled exception. System.IO.IOException: The file '/srv/hone/data/jobs/1/2/x.safetensors' is cut.\n   at A.B() in /src/hone/A.cs:line 3\n--- End of stack trace from previous location ---\n   at C.D()", "Unhandled exception. System.IO.IOException: The file 'x.safetensors' is cut.")]
    [InlineData("see https://example.com/a/b for and/or more: /opt/lib/libtorch.so: cannot open", "see https://example.com/a/b for and/or more: libtorch.so: cannot open")]
    [InlineData("   at A.B()", "")]
    public void ForTheUser_LastLines_WithoutFramesAndFolders(string said, string shown) => Assert.Equal(shown, LastWords.ForTheUser(said));
}
