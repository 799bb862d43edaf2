using Hone.Formats.Models;

namespace Hone.Formats.Tests.Models;

public sealed class ModelFilesTests
{
    /// <summary>Hugging Face's cache is a folder of links.</summary>
    [Fact]
    public void Bug_StampOfLinks_WasThatOfTheLinksThemselves()
    {
        using var folder = new TemporaryFolder();
        string file = folder.Write("1.gguf", new byte[1_000]);
        File.SetLastWriteTimeUtc(file, new DateTime(2020, 1, 2, 3, 4, 5, DateTimeKind.Utc));
        string between = folder.File("between.gguf"), link = folder.File("model.gguf");
        File.CreateSymbolicLink(between, "1.gguf");
        File.CreateSymbolicLink(link, between);

        Assert.Equal((1_000, new DateTime(2020, 1, 2, 3, 4, 5, DateTimeKind.Utc)), ModelFiles.Stamp(file));
        Assert.Equal(ModelFiles.Stamp(file), ModelFiles.Stamp(link));
    }
}
