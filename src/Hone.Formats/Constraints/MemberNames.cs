using System.Text;

namespace Hone.Formats.Constraints;

/// <summary>The names of an object's members as they are written, colon included, in the order of their bytes.</summary>
internal sealed class MemberNames
{
    private readonly byte[][] _texts;
    private readonly int[] _members;
    private readonly int[] _last;

    public MemberNames(IReadOnlyList<Member> members)
    {
        _texts = [.. members.Select(m => Encoding.UTF8.GetBytes(JsonBytes.Quoted(m.Name) + ":"))];
        _members = [.. Enumerable.Range(0, members.Count)];
        Array.Sort(_texts, _members, Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)));
        _last = new int[members.Count];
        for (int m = members.Count - 1; m >= 0; m--)
            _last[m] = members[m].IsRequired || m == members.Count - 1 ? m : _last[m + 1];
    }

    public int Count => _texts.Length;

    public ReadOnlySpan<byte> TextOf(int name) => _texts[name];

    /// <summary>The member that has a name.</summary>
    public int MemberOf(int name) => _members[name];

    /// <summary>The last member that may come next where none before <paramref name="member"/> may: the first that is required, or the last of all.</summary>
    public int LastFrom(int member) => _last[member];
}
