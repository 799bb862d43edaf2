using System.Collections;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Hone.Formats.Files;

namespace Hone.Formats.TrainingData;

/// <summary>
/// Encoded rows in a file, memory-mapped: however many there are, managed memory holds those alone that are asked for. Little-endian, one after the other: the rows'
/// tokens, 4 bytes each with the highest bit set where the token is learnt; 24 bytes a row of where and how long it is; the warnings; a trailer with the counts and the
/// SHA-256 of all before it, which is checked when the file is opened.
/// </summary>
public sealed class EncodedRowFile : IReadOnlyList<EncodedRow>, IDisposable
{
    private const long Magic = 0x31_53_57_4F_52_4E_4F_48; // "HONROWS1"
    private const int TrailerBytes = 6 * sizeof(long) + SHA256.HashSizeInBytes;
    private const int Learnt = int.MinValue;
    private const int HashedBytes = 1 << 20;

    private readonly MappedFile _file;
    private readonly long _places;

    private EncodedRowFile(MappedFile file)
    {
        _file = file;
        if (file.Length < TrailerBytes)
            throw Damaged();
        ReadOnlySpan<long> trailer = MemoryMarshal.Cast<byte, long>(file.Slice(file.Length - TrailerBytes, 6 * sizeof(long)));
        (long magic, long rows, long tokens, long trained, long pairs, long warnings) = (trailer[0], trailer[1], trailer[2], trailer[3], trailer[4], trailer[5]);
        if (magic != Magic || rows is < 0 or > int.MaxValue || tokens < 0 || warnings is < 0 or > int.MaxValue
            || (Int128)tokens * sizeof(int) + (Int128)rows * Marshal.SizeOf<Place>() + warnings + TrailerBytes != file.Length)
            throw Damaged();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long hashed = file.Length - SHA256.HashSizeInBytes;
        for (long at = 0; at < hashed; at += HashedBytes)
            hash.AppendData(file.Slice(at, (int)Math.Min(HashedBytes, hashed - at)));
        byte[] found = hash.GetHashAndReset();
        if (!found.AsSpan().SequenceEqual(file.Slice(hashed, SHA256.HashSizeInBytes)))
            throw Damaged();
        Sha256 = Convert.ToHexStringLower(found);
        (Count, Tokens, TrainedTokens, PreferencePairs, _places) = ((int)rows, tokens, trained, pairs != 0, tokens * sizeof(int));
        using var reader = new BinaryReader(new MemoryStream(file.Slice(_places + rows * Marshal.SizeOf<Place>(), (int)warnings).ToArray()));
        Warnings = [.. Enumerable.Range(0, reader.ReadInt32()).Select(_ => reader.ReadString())];
    }

    public int Count { get; }

    /// <summary>Of all rows, those that rows share counted in each.</summary>
    public long Tokens { get; }

    public long TrainedTokens { get; }

    /// <summary>Row 2i is the better answer and row 2i + 1 the worse one.</summary>
    public bool PreferencePairs { get; }

    /// <summary>What the encoding has warned of.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>Of rows, warnings and counts, lower-case hex.</summary>
    public string Sha256 { get; }

    public EncodedRow this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            Place place = MemoryMarshal.Read<Place>(_file.Slice(_places + (long)index * Marshal.SizeOf<Place>(), Marshal.SizeOf<Place>()));
            ReadOnlySpan<int> stored = MemoryMarshal.Cast<byte, int>(_file.Slice(place.First * sizeof(int), checked(place.Length * sizeof(int))));
            var tokens = new int[stored.Length];
            var trained = new bool[stored.Length];
            for (int i = 0; i < stored.Length; i++)
                (tokens[i], trained[i]) = (stored[i] & ~Learnt, stored[i] < 0);
            return new EncodedRow(place.Line, tokens, trained) { FullLength = place.FullLength };
        }
    }

    /// <summary>Writes a file, whole or not at all.</summary>
    /// <param name="rows">Taken one at a time.</param>
    /// <param name="notes">Asked for after the last row.</param>
    public static void Write(string path, IEnumerable<EncodedRow> rows, Func<(bool PreferencePairs, IReadOnlyList<string> Warnings)> notes) => AtomicFile.Write(path, stream =>
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var places = new List<Place>();
        long tokens = 0, trained = 0;
        int[] stored = [];
        foreach (EncodedRow row in rows)
        {
            int length = row.Tokens.Length;
            if (stored.Length < length)
                stored = new int[Math.Max(length, 2 * stored.Length)];
            for (int i = 0; i < length; i++)
                stored[i] = row.Trained[i] ? row.Tokens[i] | Learnt : row.Tokens[i];
            Append(MemoryMarshal.AsBytes(stored.AsSpan(0, length)));
            places.Add(new Place(tokens, length, row.Line, row.FullLength, 0));
            tokens += length;
            trained += row.TrainedTokens;
        }
        (bool pairs, IReadOnlyList<string> warnings) = notes();
        Append(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(places)));
        using var text = new MemoryStream();
        using var writer = new BinaryWriter(text);
        writer.Write(warnings.Count);
        foreach (string warning in warnings)
            writer.Write(warning);
        Append(text.ToArray());
        Append(MemoryMarshal.AsBytes<long>([Magic, places.Count, tokens, trained, pairs ? 1 : 0, text.Length]));
        stream.Write(hash.GetHashAndReset());

        void Append(ReadOnlySpan<byte> bytes)
        {
            hash.AppendData(bytes);
            stream.Write(bytes);
        }
    });

    /// <exception cref="InvalidFileException">The file is cut or damaged.</exception>
    public static EncodedRowFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            return new EncodedRowFile(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public IEnumerator<EncodedRow> GetEnumerator()
    {
        for (int i = 0; i < Count; i++)
            yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose() => _file.Dispose();

    private InvalidFileException Damaged() => new($"{_file.Path}: no file of encoded rows, or a damaged one. Delete it; it is made again from the training data.");

    /// <param name="First">Of the row's tokens, among all.</param>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Place(long First, int Length, int Line, int FullLength, int Reserved);
}
