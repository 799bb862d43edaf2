using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

public sealed class EncodedRowFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_WrittenRows_AreTheSameInAnyOrder()
    {
        EncodedRow[] rows = [Row(1, 5, 0, int.MaxValue, 7), Row(2), Row(9, 1) with { FullLength = 40 }, Row(9, [.. Enumerable.Range(0, 10_000)])];
        string path = _folder.File("a.rows");
        EncodedRowFile.Write(path, rows, () => (true, ["of these", "and → those"]));

        using EncodedRowFile file = EncodedRowFile.Open(path);

        Assert.Equal((4, rows.Sum(r => r.Tokens.Length), rows.Sum(r => r.TrainedTokens), true), (file.Count, file.Tokens, file.TrainedTokens, file.PreferencePairs));
        Assert.Equal(["of these", "and → those"], file.Warnings);
        foreach (int i in new[] { 3, 0, 2, 1 })
        {
            Assert.Equal((rows[i].Line, rows[i].FullLength), (file[i].Line, file[i].FullLength));
            Assert.Equal(rows[i].Tokens, file[i].Tokens);
            Assert.Equal(rows[i].Trained, file[i].Trained);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => file[4]);
    }

    [Fact]
    public void Write_RowsThatFail_LeaveNothing()
    {
        Assert.Throws<InvalidOperationException>(() => EncodedRowFile.Write(_folder.File("a.rows"), Failing(), () => (false, [])));
        Assert.Empty(Directory.EnumerateFiles(_folder.Path));

        static IEnumerable<EncodedRow> Failing()
        {
            yield return Row(1, 2, 3);
            throw new InvalidOperationException();
        }
    }

    /// <summary>Each byte that is changed, and each length that a file can be cut to.</summary>
    [Fact]
    public void Open_DamagedOrCut_IsRefusedWithWhatToDo()
    {
        string path = _folder.File("a.rows");
        EncodedRowFile.Write(path, [Row(1, 5, 6), Row(2, 7)], () => (false, ["a"]));
        byte[] whole = File.ReadAllBytes(path);
        for (int at = 0; at < whole.Length; at++)
        {
            byte[] changed = [.. whole];
            changed[at] ^= 0x40;
            foreach (string damaged in new[] { _folder.Write("b.rows", changed), _folder.Write("c.rows", whole.AsSpan(0, at)) })
                Assert.Contains("it is made again from the training data", Assert.Throws<InvalidFileException>(() => EncodedRowFile.Open(damaged)).Message, StringComparison.Ordinal);
        }
    }

    private static EncodedRow Row(int line, params int[] tokens) => new(line, tokens, [.. tokens.Select((_, i) => i % 3 == 1)]);
}
